"""What is read from a data set, what is left out and counted, and what is refused."""

import json
from pathlib import Path

import pytest

from gpu_workers.kwise.config import TrainingConfig, parse_config, read_config
from gpu_workers.kwise.data import read_rankings
from gpu_workers.kwise.encoding import encode_prompt, encode_rankings
from gpu_workers.kwise.errors import TrainingError
from tests.gpu_workers.kwise_world import make_tokenizer, row, write_data_set

GOOD = row(1, "why", ["the cat", "a dog"], [1, 2])
PATHS = {"data": "d", "base": "b", "output": "o"}


def encode(rankings, report, longest=50, system_prompt=None, tokenizer=None):
    return encode_rankings(
        tokenizer or make_tokenizer(),
        rankings,
        longest=longest,
        system_prompt=system_prompt,
        report=report,
        uses_ties=False,
    )


def test_votes_that_order_nothing_are_left_out_and_counted(tmp_path):
    rows = [
        GOOD,
        row(2, "why", ["a", "the", "cat"], [1, 1, 1]),
        row(3, "why", ["a", "the"], None, kind="all_bad"),
        row(4, "why", ["a", "the", "cat"], [None, 1, None], kind="best"),
        row(5, "why", ["a", "the", "cat"], [1, 2, 2]),
    ]

    data = read_rankings(write_data_set(tmp_path / "d", rows, [GOOD]))

    assert [ranking.vote_id for ranking in data.train] == ["v1", "v4", "v5"]
    assert (data.report.all_tied, data.report.all_bad, data.report.with_ties) == (1, 1, 1)
    assert data.report.votes == {"train": 5, "held_out": 1}
    assert data.report.informative == {"train": 3, "held_out": 1}
    assert data.report.by_k == {2: 2, 3: 2}


def test_an_objective_that_learns_from_ties_keeps_the_vote_that_ties_all(tmp_path):
    rows = [row(2, "why", ["a", "the", "cat"], [1, 1, 1]), row(3, "why", ["a", "the"], None, kind="all_bad")]

    data = read_rankings(write_data_set(tmp_path / "d", [GOOD, *rows]), uses_ties=True)

    assert [ranking.vote_id for ranking in data.train] == ["v1", "v2"]
    assert data.report.all_bad == 1


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "has no votes to train on"),
        ([row(1, "why", ["a", "the"], [1, 1])], "None of the 1 votes .* orders any responses: 1 tie all"),
        ([row(1, "why", ["a"], [1])], "Row 1 of .* has 1 responses; a ranking has 2 to 12"),
        ([GOOD, row(1, "why", ["a", "the"], [1, 3])], "Row 2 of .* has a rank outside 1 to 2"),
        ([row(1, "why", ["a", "the"], [1, 2, 3])], "Row 1 of .* has 3 ranks for 2 responses"),
    ],
)
def test_data_that_cannot_be_used_is_refused_with_a_sentence(tmp_path, rows, sentence):
    folder = write_data_set(tmp_path / "d", rows)

    with pytest.raises(TrainingError, match=sentence):
        read_rankings(folder)


def test_a_file_that_was_changed_after_the_export_is_refused(tmp_path):
    folder = write_data_set(tmp_path / "d", [GOOD])
    other = write_data_set(tmp_path / "e", [row(1, "why", ["the cat", "a dog"], [2, 1])])
    file = "kwise/train-00000-of-00001.parquet"
    (folder / file).write_bytes((other / file).read_bytes())

    with pytest.raises(TrainingError, match=r"was changed\. Export again"):
        read_rankings(folder)


def test_a_folder_without_kwise_data_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="There is no data set folder"):
        read_rankings(tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="There is no K-wise data in"):
        read_rankings(tmp_path)


def test_the_jsonl_twin_is_read_where_there_is_no_parquet(tmp_path):
    (tmp_path / "kwise").mkdir()
    (tmp_path / "kwise" / "train-00000-of-00001.jsonl").write_text(json.dumps(GOOD) + "\n")

    assert read_rankings(tmp_path).train[0].texts == ("the cat", "a dog")


def test_a_response_beyond_the_context_is_left_out_whole_and_counted(tmp_path):
    long = " ".join(["cat"] * 30)
    rows = [row(1, "why", ["the cat", "a dog", long], [2, 3, 1]), row(2, "why", ["the", long], [1, 2])]
    data = read_rankings(write_data_set(tmp_path / "d", rows))

    encoded = encode(data.train, data.report, longest=20)

    assert [(ranking.vote_id, ranking.ranks) for ranking in encoded] == [("v1", (2, 3))]
    assert [len(response) for response in encoded[0].responses] == [
        3,
        3,
    ]  # two words and the end, nothing cut
    assert (data.report.responses_too_long, data.report.rankings_too_long) == (2, 1)


def test_system_messages_come_first_and_the_answer_ends(tmp_path):
    data = read_rankings(
        write_data_set(tmp_path / "d", [row(1, "why", ["the cat", "a"], [1, 2], system="please")])
    )
    tokenizer = make_tokenizer()

    own = encode(data.train, data.report)[0]
    both = encode(data.train, data.report, system_prompt="thank you")[0]

    assert tokenizer.decode(own.prompt) == "<system> please <user> why <assistant>"
    assert tokenizer.decode(both.prompt) == "<system> thank you <system> please <user> why <assistant>"
    assert tokenizer.decode(own.responses[0]) == "the cat <end>"


def test_a_template_without_a_system_role_gets_it_in_the_first_message():
    tokenizer = make_tokenizer()
    refuse = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    tokenizer.chat_template = refuse + tokenizer.chat_template
    messages = [{"role": "user", "content": "why"}]

    prompt = encode_prompt(tokenizer, messages, "please")

    assert tokenizer.decode(prompt) == "<user> please why <assistant>"


def test_a_tokenizer_without_a_template_reads_the_text_as_it_stands():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None

    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "why"}], "please")

    assert tokenizer.decode(prompt) == "please why"


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    data = read_rankings(write_data_set(tmp_path / "d", [GOOD]))

    with pytest.raises(TrainingError, match="no end-of-text token"):
        encode(data.train, data.report, tokenizer=make_tokenizer(eos=False))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "must be one JSON object"),
        ({"data": "d", "base": "b"}, 'The setting "output" is missing'),
        ({**PATHS, "learnig_rate": 1}, 'There is no setting "learnig_rate". Did you mean "learning_rate"?'),
        ({**PATHS, "beta": 0}, "The setting beta is 0; accepted is a number above 0."),
        ({**PATHS, "beta": "much"}, 'The setting beta is "much"'),
        ({**PATHS, "epochs": 1.5}, "The setting epochs is 1.5; accepted is a whole number from 1."),
        ({**PATHS, "method": "half"}, 'The setting method is "half"; accepted is one of full, lora, qlora.'),
        ({**PATHS, "lora": {"rank": 4}}, 'There is no setting "rank" in lora.'),
        ({**PATHS, "warmup": True}, "The setting warmup is true; accepted is a number from 0 to 1."),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(values, sentence):
    with pytest.raises(TrainingError) as refused:
        parse_config(values)

    assert sentence in str(refused.value)


def test_settings_that_are_no_json_or_not_there_are_refused(tmp_path):
    (tmp_path / "c.json").write_text("{")

    with pytest.raises(TrainingError, match="is not JSON"):
        read_config(tmp_path / "c.json")
    with pytest.raises(TrainingError, match="There is no settings file"):
        read_config(tmp_path / "none.json")


def test_settings_left_out_have_their_defaults():
    config = parse_config({**PATHS, "lora": {"r": 4}})

    assert (config.objective, config.beta, config.epochs) == ("adpo-list", 0.1, 2)
    assert config.lora == {"r": 4, "alpha": 32, "dropout": 0.0, "target_modules": "all-linear"}


def test_every_setting_is_in_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    section = text.split("## Settings", 1)[1].split("\n## ", 1)[0]
    own = TrainingConfig(data="d", base="b", output="o").as_dict()

    told = [name for name in own if f"`{name}`" in section]

    # What the product fills in by itself: a run's parent, the contestant's words, how it scores, its cache.
    assert set(own) - set(told) == {"parent", "system_prompt", "scoring", "reference_cache"}
