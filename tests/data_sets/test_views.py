"""The thin views of a K-wise row, by hand-made rows."""

import json
from pathlib import Path

import pytest

from arena.services.data_sets import FORMATS, data_set_folder
from arena.services.data_sets.lmarena import style_counts


def row(ranks: list[int | None] | None, kind: str = "ranking", texts: str = "abcd") -> dict:
    size = len(ranks) if ranks is not None else 2
    return {
        "vote_id": "7",
        "messages": [{"role": "user", "content": "Why?"}],
        "system": None,
        "responses": [{"contestant": text.upper(), "text": text} for text in texts[:size]],
        "ranks": ranks,
        "kind": kind,
        "voter": "voter-1",
        "weight": 1.0,
        "created_at": "2026-01-02T03:04:05+00:00",
    }


def views(name: str, a_row: dict) -> list[dict]:
    return list(FORMATS[name].view(a_row))


@pytest.mark.parametrize(
    ("ranks", "kind", "pairs"),
    [
        ([1, 2], "ranking", ["ab"]),
        ([2, 1], "ranking", ["ba"]),
        ([1, 1], "ranking", []),
        ([1, 2, 2, 4], "ranking", ["ab", "ac", "ad", "bd", "cd"]),
        ([None, 1, None], "best", ["ba", "bc"]),
        ([1, 2, None, None], "ranking", ["ab", "ac", "ad", "bc", "bd"]),
        (None, "all_bad", []),
    ],
)
def test_only_what_was_said_to_be_better_is_chosen(ranks, kind, pairs):
    rows = views("trl-preference", row(ranks, kind))

    assert [one["chosen"][0]["content"] + one["rejected"][0]["content"] for one in rows] == pairs
    assert sum(one["weight"] for one in rows) == pytest.approx(1.0 if pairs else 0.0)


def test_a_preference_row_has_the_columns_that_trl_s_trainers_take_without_mapping():
    one = views("trl-preference", row([1, 2]))[0]

    assert one["prompt"] == [{"role": "user", "content": "Why?"}]
    assert one["chosen"] == [{"role": "assistant", "content": "a"}]
    assert one["rejected"] == [{"role": "assistant", "content": "b"}]


def test_trl_itself_takes_a_preference_row_for_a_conversation():
    data_utils = pytest.importorskip("trl.data_utils", reason="TRL is in the bench extra.")

    one = views("trl-preference", row([1, 2]))[0]

    assert data_utils.is_conversational(one)
    assert data_utils.maybe_extract_prompt(dict(one)) == one


@pytest.mark.parametrize(
    ("ranks", "kind", "labels"),
    [
        ([1, 2, 3], "ranking", {"a": True, "c": False}),
        ([1, 1, 3], "ranking", {"a": True, "b": True, "c": False}),
        ([1, 1, 1], "ranking", {}),
        ([None, 1, None], "best", {"b": True}),
        (None, "all_bad", {"a": False, "b": False}),
    ],
)
def test_only_the_clearly_good_and_the_clearly_bad_get_a_label(ranks, kind, labels):
    rows = views("trl-unpaired", row(ranks, kind))

    assert {one["completion"][0]["content"]: one["label"] for one in rows} == labels


def test_openai_s_pairs_have_one_assistant_message_on_each_side():
    (one,) = views("openai-dpo", row([2, 1]) | {"system": "Be brief."})

    assert one == {
        "input": {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
            "tools": [],
            "parallel_tool_calls": True,
        },
        "preferred_output": [{"role": "assistant", "content": "b"}],
        "non_preferred_output": [{"role": "assistant", "content": "a"}],
    }


def test_llama_factory_finds_its_files_through_the_entry_shipped_with_them(voted_arena, export):
    folder: Path = data_set_folder(export(voted_arena, "llama-factory")) / "llama-factory"

    info = json.loads((folder / "dataset_info.json").read_text())

    assert set(info) == {"study_1_train", "study_1_held_out"}
    for entry in info.values():
        first = json.loads((folder / entry["file_name"]).read_text().splitlines()[0])
        assert set(entry["columns"].values()) == set(first)
        assert entry["ranking"] is True


@pytest.mark.parametrize(
    ("ranks", "kind", "winners"),
    [
        ([1, 2, 2], "ranking", ["model_a", "model_a", "tie"]),
        ([None, 1, None], "best", ["model_b", "model_a"]),
        (None, "all_bad", ["both_bad"]),
    ],
)
def test_the_arena_form_has_one_row_per_compared_pair(ranks, kind, winners):
    rows = views("arena", row(ranks, kind))

    assert [one["winner"] for one in rows] == winners
    assert rows[0]["conversation_a"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "a"}],
    }
    assert [one["evaluation_order"] for one in rows] == list(range(1, len(rows) + 1))


def test_style_is_counted_outside_code():
    counts = style_counts("# One\n## Two\n- a\n* b\n1. c\n**bold** __too__\n```\n# not\n- not\n```\n")

    assert counts["header_count"] == {"h1": 1, "h2": 1, "h3": 0, "h4": 0, "h5": 0, "h6": 0}
    assert counts["list_count"] == {"ordered": 1, "unordered": 2}
    assert counts["bold_count"] == {"**": 1, "__": 1}
