"""python -m ranking: every format gives the same board, and every bad line is named."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree

import pyarrow as pa
import pytest
from pyarrow import parquet

from ranking.__main__ import main
from tests.ranking.published import toy

PAIRS = [
    {"model_a": "ada", "model_b": "bob", "winner": "model_a", "voter": "v1"},
    {"model_a": "bob", "model_b": "cat", "winner": "model_a", "voter": "v1"},
    {"model_a": "cat", "model_b": "ada", "winner": "model_a", "voter": "v2"},
    {"model_a": "ada", "model_b": "bob", "winner": "tie", "voter": "v2"},
    {"model_a": "ada", "model_b": "cat", "winner": "model_a", "voter": "v3"},
]
RANKINGS = [
    {"models": ["ada", "bob", "cat"], "ranks": [1, 2, 2]},
    {"models": ["cat", "ada", "bob"], "ranks": [1, 2, 3]},
    {"models": ["bob", "ada", "cat"], "ranks": [1, None, None]},
    {"models": ["bob", "cat", "ada", "dan"], "ranks": [2, 4, 1, 3]},
    {"models": ["dan", "ada"], "ranks": [1, 2]},
]


def write(path, records):
    """The records in the format that the suffix asks for."""
    if path.suffix == ".json":
        path.write_text(json.dumps(records, indent=1))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(records), path)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(records[0]))
            writer.writeheader()
            for record in records:
                writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in record.items()})
    return str(path)


def board(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return json.loads(said.out)


@pytest.mark.parametrize("records", [PAIRS, RANKINGS], ids=["pairs", "rankings"])
def test_every_format_gives_the_same_board(records, tmp_path, capsys):
    boards = [
        board(capsys, write(tmp_path / f"v.{suffix}", records))
        for suffix in ("jsonl", "json", "csv", "parquet")
    ]

    assert all(other == boards[0] for other in boards[1:])
    rows = boards[0]["leaderboard"]
    assert [set(row) for row in rows] == [
        {"model", "rating", "lower", "upper", "rank", "rank_lower", "rank_upper", "votes"}
    ] * len(rows)
    assert [row["rating"] for row in rows] == sorted((row["rating"] for row in rows), reverse=True)
    assert boards[0]["method"] == "davidson"
    assert boards[0]["converged"] is True
    assert isinstance(boards[0]["warnings"], list)


def test_pairs_and_rankings_may_share_a_file(tmp_path, capsys):
    found = board(capsys, write(tmp_path / "v.jsonl", PAIRS + RANKINGS))

    assert sum(row["votes"] for row in found["leaderboard"]) == 2 * 5 + 3 * 3 + 4 + 2


def test_log_odds_have_mean_zero_and_standard_errors(tmp_path, capsys):
    path = write(tmp_path / "v.jsonl", PAIRS)
    found = board(capsys, path, "--log-odds", "--model", "bradley-terry")["leaderboard"]

    assert sum(row["strength"] for row in found) == pytest.approx(0)
    assert all(row["se"] > 0 for row in found)
    assert all(row["lower"] < row["strength"] < row["upper"] for row in found)
    assert main([path, "--log-odds"]) == 0
    assert "strength" in capsys.readouterr().out


def test_the_toy_prints_the_published_strengths(tmp_path, capsys):
    assert toy(with_loser=False).models == ("A", "B", "C")
    records = [{"model_a": a, "model_b": b, "winner": "model_a"} for a, b in zip("ACBB", "BAAC", strict=True)]
    found = board(capsys, write(tmp_path / "v.csv", records), "--log-odds")["leaderboard"]
    strength = {row["model"]: row["strength"] for row in found}

    assert strength["B"] - strength["A"] == pytest.approx(0.8392, abs=5e-5)
    assert strength["C"] - strength["A"] == pytest.approx(0.4196, abs=5e-5)


GOOD = json.dumps(PAIRS[0])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f'{GOOD}\n{{"model_a": "x", "model_b": "y", "winner": "left"}}\n',
            "Line 2 has 'left' as its winner",
        ),
        (
            f'{GOOD}\n\n{{"model_a": "x", "model_b": "x", "winner": "tie"}}\n',
            "Line 3 compares a model with itself",
        ),
        (f"{GOOD}\nnot json\n", "Line 2 is not JSON."),
        (f"{GOOD}\n[1, 2]\n", "Line 2 is not a JSON object."),
        (f'{GOOD}\n{{"model_a": "x", "winner": "tie"}}\n', "Line 2 has no model_b."),
        (f'{GOOD}\n{{"model_a": null, "model_b": "y", "winner": "tie"}}\n', "Line 2 has no model name."),
        (
            f'{GOOD}\n{{"model_a": "x", "model_b": "y", "winner": "tie", "weight": -1}}\n',
            "negative weight -1",
        ),
        (f'{GOOD}\n{{"model_a": "x", "model_b": "y", "winner": "tie", "weight": "a lot"}}\n', "not a number"),
        ('{"models": ["x", "y", "x"], "ranks": [1, 2, 3]}\n', "Line 1 ranks the same model twice."),
        ('{"models": ["x", "y"], "ranks": [1]}\n', "Line 1 has 2 models but 1 ranks."),
        ('{"models": ["x", "y"], "ranks": [1, 0]}\n', "Line 1 has a rank below 1"),
        ('{"models": ["x", "y"], "ranks": [1, "two"]}\n', "Line 1 has the rank 'two'"),
        ('{"models": ["x", "y"]}\n', "Line 1 has no list of ranks."),
        ('{"models": ["x"], "ranks": [1]}\n', "Line 1 compares fewer than two models."),
        ("", "holds no votes"),
    ],
)
def test_a_bad_line_is_named_with_its_fault(text, sentence, tmp_path, capsys):
    path = tmp_path / "v.jsonl"
    path.write_text(text)

    assert main([str(path)]) == 2

    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""  # no board from half the votes


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("v.csv", b"model_a,model_b,winner\nx,y,tie\nx,y\n", "Line 3 has 2 cells; the header has 3."),
        (
            "v.csv",
            b'model_a,model_b,winner,text\nx,y,tie,"a\nb"\nx,y,won,t\n',
            "Line 4 has 'won' as its winner",
        ),
        ("v.csv", b"model_a,model_b,winner\nx,y,\xff\n", "is not UTF-8"),
        ("v.parquet", b"nothing", "is not Parquet"),
        ("v.txt", b"", "is not a .jsonl, .json, .csv or .parquet file"),
    ],
)
def test_broken_files_are_refused(name, content, sentence, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)

    assert main([str(tmp_path / name)]) == 2
    assert sentence in capsys.readouterr().err


def test_missing_files_and_bad_anchors_are_refused(tmp_path, capsys):
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "There is no file" in capsys.readouterr().err
    path = write(tmp_path / "v.jsonl", PAIRS)
    assert main([path, "--anchor", "ada"]) == 2
    assert "is not MODEL=RATING" in capsys.readouterr().err
    assert main([path, "--anchor", "zed=1000"]) == 2
    assert "no model 'zed'" in capsys.readouterr().err


def test_clusters_widen_the_intervals(tmp_path, capsys):
    path = write(tmp_path / "v.jsonl", [dict(record, voter="one" if i % 2 else "two") for i, record in
                                        enumerate(PAIRS * 30)])  # fmt: skip
    plain, wide = board(capsys, path), board(capsys, path, "--cluster", "voter")

    assert wide["covariance"] == "clustered by voter"
    assert any("from only 2 voters" in sentence for sentence in wide["warnings"])
    assert wide["leaderboard"][0]["rating"] == pytest.approx(plain["leaderboard"][0]["rating"])
    width = [found["leaderboard"][0]["upper"] - found["leaderboard"][0]["lower"] for found in (plain, wide)]
    assert width[1] > width[0]


def test_style_columns_are_controlled_for_unless_ignored(tmp_path, capsys):
    records = [
        record | {"style_length_a": 100 + 7 * i, "style_length_b": 150 - 3 * i}
        for i, record in enumerate(PAIRS * 6)
    ]
    path = write(tmp_path / "v.csv", records)

    (effect,) = board(capsys, path)["effects"]
    assert effect["name"] == "length"
    assert effect["lower"] < effect["typical"] < effect["upper"]
    assert effect["twice"] is not None
    assert board(capsys, path, "--style", "none")["effects"] == []
    assert main([path]) == 0
    assert "Style length" in capsys.readouterr().out


def test_lmarenas_own_metadata_gives_style_control(tmp_path, capsys):
    def metadata(i):
        return {
            "sum_assistant_a_tokens": 100 + i, "sum_assistant_b_tokens": 130 - i,
            "header_count_a": {"h1": i % 3}, "header_count_b": {"h1": 0, "h2": i % 2},
            "list_count_a": {"ordered": i % 5, "unordered": None}, "list_count_b": {"ordered": 1},
            "bold_count_a": {"**": i % 4, "__": 0}, "bold_count_b": {"**": 1, "__": 0},
        }  # fmt: skip

    records = [record | {"conv_metadata": metadata(i)} for i, record in enumerate(PAIRS * 12)]
    for name in ("v.jsonl", "v.parquet"):
        found = board(capsys, write(tmp_path / name, records), "--style", "lmarena")
        assert [effect["name"] for effect in found["effects"]] == ["length", "headers", "lists", "bold"]
    assert main([write(tmp_path / "w.jsonl", PAIRS), "--style", "lmarena"]) == 2
    assert "Line 1 has no conv_metadata" in capsys.readouterr().err


def test_the_plot_is_a_picture_of_the_board(tmp_path, capsys):
    records = [
        dict(record, model_a="<ada>" if record["model_a"] == "ada" else record["model_a"]) for record in PAIRS
    ]
    picture = tmp_path / "board.svg"

    assert main([write(tmp_path / "v.jsonl", records), "--plot", str(picture)]) == 0

    root = ElementTree.parse(picture).getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<ada>" in texts  # escaped, not markup
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 4
    assert "rank" in capsys.readouterr().out


def test_one_very_wide_interval_does_not_squeeze_the_picture(tmp_path, capsys):
    names = [f"m{place}" for place in range(8)]
    many = [{"model_a": a, "model_b": b, "winner": "model_a"} for a in names for b in names if a != b] * 5
    picture = tmp_path / "board.svg"
    arrows = "{http://www.w3.org/2000/svg}path"
    assert main([write(tmp_path / "v.jsonl", many), "--plot", str(picture)]) == 0
    assert not list(ElementTree.parse(picture).getroot().iter(arrows))

    new = {"model_a": "new", "model_b": "m0", "winner": "model_a"}
    assert main([write(tmp_path / "v.jsonl", [*many, new]), "--plot", str(picture)]) == 0

    root = ElementTree.parse(picture).getroot()
    lines = [one for one in root.iter("{http://www.w3.org/2000/svg}line") if one.get("class") == "i"]
    lengths = sorted(float(line.get("x2")) - float(line.get("x1")) for line in lines)
    assert list(root.iter(arrows))  # beyond the edge it goes on
    assert lengths[-1] < 6 * lengths[0]


@pytest.mark.parametrize(
    ("again", "advice"),
    [("voter", "--cluster voter"), ("prompt", "--cluster prompt"), ("both", "--cluster both")],
)
def test_who_votes_again_and_again_brings_advice(again, advice, tmp_path, capsys):
    def record(turn):
        repeated = {"voter": f"v{turn % 4}", "prompt": f"p{turn % 5}"}
        return PAIRS[turn % 5] | {
            name: repeated[name] if again in (name, "both") else turn for name in repeated
        }

    path = write(tmp_path / "v.jsonl", [record(turn) for turn in range(40)])
    assert main([path]) == 0
    assert advice in capsys.readouterr().out.splitlines()[-1]
    assert main([path, "--cluster", again]) == 0
    assert "Hint" not in capsys.readouterr().out


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    path = write(tmp_path / "v.jsonl", PAIRS)

    assert main([path, "--plot", str(tmp_path / "nowhere" / "board.svg")]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "cannot be written" in said.err


def test_both_bad_is_left_out_or_a_tie(tmp_path, capsys):
    records = [*PAIRS, {"model_a": "ada", "model_b": "bob", "winner": "both_bad", "voter": "v9"}]
    path = write(tmp_path / "v.jsonl", records)

    omitted, tied = board(capsys, path), board(capsys, path, "--both-bad", "tie")

    assert any("all responses were bad" in sentence for sentence in omitted["warnings"])
    assert sum(row["votes"] for row in tied["leaderboard"]) == 2 + sum(
        row["votes"] for row in omitted["leaderboard"]
    )


def test_help_teaches_with_examples(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])

    assert stopped.value.code == 0
    assert "python -m ranking votes.jsonl" in capsys.readouterr().out


def test_rows_of_a_k_wise_data_set_are_votes(tmp_path, capsys):
    rows = [
        {"responses": [{"contestant": "ada"}, {"contestant": "bob"}, {"contestant": "cat"}], "ranks": ranks,
         "kind": "ranking", "voter": "v1", "prompt_id": "p1"}
        for ranks in ([1, 2, 3], [2, 1, 3], [1, 3, 2], [1, 2, 2], [3, 2, 1], None)
    ]  # fmt: skip
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert main([str(file), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in told["leaderboard"]] == ["ada", "bob", "cat"]
    assert any("1 vote says that all responses were bad" in warning for warning in told["warnings"])


def test_a_response_without_its_contestant_is_refused_by_its_line(tmp_path, capsys):
    file = tmp_path / "train.jsonl"
    file.write_text('{"responses": [{"id": "a"}, {"id": "b"}], "ranks": [1, 2]}\n')

    assert main([str(file)]) == 2
    assert capsys.readouterr().err.strip() == "Line 1 has no model name."


def test_fragility_says_how_few_votes_decide(tmp_path, capsys):
    file = tmp_path / "votes.jsonl"
    pair = {"model_a": "ada", "model_b": "bob"}
    votes = [{**pair, "winner": "model_a"}] * 6 + [{**pair, "winner": "model_b"}] * 4
    file.write_text("".join(json.dumps(vote) + "\n" for vote in votes))

    assert main([str(file), "--fragility"]) == 0
    assert "Without 3 votes (30.00%) bob would be ahead of ada." in capsys.readouterr().out
    assert main([str(file), "--fragility", "--model", "elo"]) == 2
    assert "elo has no fit" in capsys.readouterr().err
