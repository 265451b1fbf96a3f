"""What becomes of votes before they are learnt from: weights, merged votes, criteria, marked parts, order."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.credit import REST, credit_of
from gpu_workers.kwise.data import DataReport, Ranking, Span, read_rankings
from gpu_workers.kwise.encoding import encode_rankings
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.merging import merge_votes, shares_of, weigh_criteria
from gpu_workers.kwise.preparation import agreement, objective_of
from gpu_workers.kwise.schedules import easiest_first
from gpu_workers.kwise.trainer import train
from gpu_workers.kwise.votes import vote_batch
from gpu_workers.kwise.weighing import weigh
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.test_train import Events

TEXTS = ("a cat", "the dog", "big river")


def vote(ranks: tuple[int | None, ...], *, texts: tuple[str, ...] = TEXTS, **changes: Any) -> Ranking:
    return Ranking("v", "p", ({"role": "user", "content": "why"},), None, texts, ranks, **changes)


def test_votes_on_the_same_responses_become_one_with_shares():
    shuffled = (TEXTS[2], TEXTS[0], TEXTS[1])
    votes = [
        vote((1, 2, 3)),
        vote((1, 3, 2)),
        vote((3, 1, 2), texts=shuffled),  # the cat, the dog, the river again
        vote((2, 1), texts=TEXTS[:2]),
    ]

    merged = merge_votes(votes)

    assert len(merged) == 2  # the pair has other responses
    one = merged[0]
    assert one.weight == 3
    assert one.shares is not None
    assert one.shares[0] == pytest.approx((-1, 1, 1))
    assert one.shares[1] == pytest.approx((0, -1, 2 / 3))
    assert one.ranks == (1, 2, 3)


def test_a_tie_is_half_a_win_and_the_unranked_are_not_compared():
    shares = shares_of([((1, 1, None, None), 1.0), ((1, 2, None, None), 1.0)])

    assert shares[0][1] == pytest.approx(0.75)
    assert shares[0][2] == 1
    assert shares[2][3] == -1


def test_criteria_are_weighed_into_shares():
    asked = vote((1, 2, 3), criteria={"style": (3, 2, 1)})

    (both,) = weigh_criteria([asked], {"overall": 3, "style": 1})
    (alone,) = weigh_criteria([asked], {"style": 1})

    assert both.shares is not None
    assert both.shares[0][2] == pytest.approx(0.75)
    assert both.ranks == (1, 2, 3)
    assert alone.ranks == (3, 2, 1)


def test_a_criterion_that_was_never_asked_is_refused_with_those_that_were():
    with pytest.raises(TrainingError, match=r'asked about "stile"\. Known are: overall, style'):
        weigh_criteria([vote((1, 2, 3), criteria={"style": (3, 2, 1)})], {"stile": 1})


def test_a_voter_who_disagrees_with_all_others_counts_little():
    votes = [vote((1, 2, 3), voter=name) for name in ("ada", "grace", "joan")]
    votes += [vote((3, 2, 1), voter="mallory"), vote((1, 2), texts=("x", "y"), voter="nobody else saw this")]

    weights = [ranking.weight for ranking in weigh(votes, ["reliability"])]

    assert weights[0] == weights[1] == weights[2] > weights[4] > weights[3]
    assert sum(weights) / len(weights) == pytest.approx(1)


def test_a_reliability_that_the_export_states_goes_before():
    sure, unsure = (vote((1, 2, 3), reliability=share) for share in (0.95, 0.55))

    weights = [ranking.weight for ranking in weigh([sure, unsure], ["reliability"])]

    assert weights[0] / weights[1] == pytest.approx(0.9 / 0.1)


def test_confidence_strength_and_rarity_multiply():
    votes = [
        vote((1, 2, 3), confidence=4, strength=3, propensity=0.1),
        vote((1, 2, 3), confidence=2, strength=1, propensity=0.05),
        vote((1, 2, 3)),
    ]

    confident, strong, rare = (
        [r.weight for r in weigh(votes, [w])] for w in ("confidence", "strength", "propensity")
    )
    together = [r.weight for r in weigh(votes, ["confidence", "strength"])]

    assert confident[0] / confident[1] == pytest.approx(2)
    assert strong[0] / strong[1] == pytest.approx(2)
    assert rare[1] / rare[0] == pytest.approx(2)
    assert together[0] / together[1] == pytest.approx(4)
    assert confident[1] < confident[2] < confident[0]  # who was not asked counts as the mean


def test_no_rarely_drawn_battle_counts_more_than_ten_times_the_middle():
    votes = [vote((1, 2, 3), propensity=p) for p in (0.1, 0.1, 0.1, 1e-6)]

    weights = [ranking.weight for ranking in weigh(votes, ["propensity"])]

    assert weights[3] / weights[0] == pytest.approx(10)


def test_agreement_is_of_pairs_of_voters_on_the_same_two_responses():
    votes = [vote((1, 2, 3)), vote((1, 3, 2))]

    assert agreement(votes) == pytest.approx(2 / 3, abs=1e-4)
    assert agreement([vote((1, 2, 3))]) is None


def test_tokens_outside_the_marked_parts_count_less():
    ranking = vote((1, 2), texts=("a small cat", "the dog"), spans=(Span(0, 2, 7),))

    weights = credit_of(ranking, [[(0, 1), (2, 7), (8, 11)], [(0, 3), (4, 7)]], "spans")

    assert weights == ((REST, 1.0, REST), (1.0, 1.0))  # a response without a mark counts whole


def test_only_the_first_step_that_differs_is_compared():
    texts = ("add\nsix\nend", "add\nten\nend")

    weights = credit_of(vote((1, 2), texts=texts), [[(0, 3), (4, 7), (8, 11)]] * 2, "first-step")

    assert weights == ((0.0, 1.0, 0.0),) * 2


def test_code_points_of_a_mark_meet_the_tokenizers_own():
    """Astral characters count one, as in the votes."""
    tokenizer = world.make_tokenizer()
    ranking = vote((1, 2), texts=("𝔘𝔫 cat sees", "dog"), spans=(Span(0, 3, 6),))

    (encoded,) = encode_rankings(
        tokenizer,
        [ranking],
        longest=50,
        system_prompt=None,
        report=DataReport(),
        uses_ties=False,
        credit="spans",
    )

    assert encoded.token_weights == ((REST, 1.0, REST, REST), (1.0, 1.0))


def test_details_of_a_vote_are_read_and_hostile_ones_refused(tmp_path):
    details = {
        "confidence": 3,
        "strength": 2,
        "spans": [{"slot": 0, "start": 0, "end": 3, "label": "good"}],
        "criteria": {"style": {"ranks": [2, 1]}},
    }
    good = world.row(1, "why", ["the cat", "a dog"], [1, 2], details=json.dumps(details))

    (ranking,) = read_rankings(world.write_data_set(tmp_path / "d", [good])).train

    assert (ranking.confidence, ranking.strength, ranking.spans) == (3, 2, (Span(0, 0, 3),))
    assert ranking.criteria == {"style": (2, 1)}
    for broken in (
        '{"spans": [{"slot": 9, "start": 0, "end": 1}]}',
        '{"spans": 5}',
        "[",
        '{"criteria": [1]}',
    ):
        row = world.row(1, "why", ["the cat", "a dog"], [1, 2], details=broken)
        with pytest.raises(
            TrainingError, match=r"Row 1 of .* (details that cannot be read|outside its response)"
        ):
            read_rankings(world.write_data_set(tmp_path / f"d{hash(broken)}", [row]))


def test_responses_to_prompts_of_their_own_are_read_as_such(tmp_path):
    row = world.row(1, "", ["the cat", "a dog"], [1, 2])
    for response, content in zip(row["responses"], ("why", "how big"), strict=True):
        response["messages"] = [{"role": "user", "content": content}]
    data = read_rankings(world.write_data_set(tmp_path / "d", [{**row, "messages": []}]))
    tokenizer = world.make_tokenizer()

    (encoded,) = encode_rankings(
        tokenizer, data.train, longest=50, system_prompt=None, report=data.report, uses_ties=False
    )

    assert encoded.prompt == ()
    assert encoded.openings is not None
    assert [tokenizer.decode(opening) for opening in encoded.openings] == [
        "<user> why <assistant>",
        "<user> how big <assistant>",
    ]


def test_a_curriculum_begins_with_the_widest_gap_and_ends_with_all():
    votes = vote_batch([[1, 2, 3, 4]])

    first, middle, last = (easiest_first(votes, stage).preferences()[0] for stage in (0.01, 0.4, 1.0))

    assert first.nonzero().tolist() == [[0, 3]]
    assert middle.nonzero().tolist() == [[0, 2], [0, 3], [1, 3]]
    assert torch.equal(last, votes.preferences()[0])


@pytest.fixture
def settings(tmp_path) -> dict[str, Any]:
    world.write_base(tmp_path / "base")
    rows = world.rankings_by_shortness(12)
    details = [json.dumps({"spans": [{"slot": 0, "start": 0, "end": 1}], "confidence": 2})] * 12
    rows = [{**row, "details": told} for row, told in zip(rows, details, strict=True)]
    world.write_data_set(tmp_path / "data", rows, world.rankings_by_shortness(3, seed=4))
    return {
        "base": str(tmp_path / "base"),
        "data": str(tmp_path / "data"),
        "output": str(tmp_path / "out"),
        "threads": 1,
        "epochs": 1,
        "kl_prompts": 0,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "dpo", "curriculum": "easy-to-hard"},
        {"objective": "dpo", "credit": "spans", "vote_weights": ["confidence", "reliability"]},
        {"objective": "tdpo2", "method": "lora"},
        {"objective": "sparsepo"},
        {"objective": "ld-dpo", "gradient_cache": True, "gradient_checkpointing": True},
        {"objective": "kto", "merge_votes": True},
        {"objective": "aot", "micro_batch": 1},
    ],
)
def test_every_way_of_learning_comes_to_its_end(settings, changes):
    events = Events()

    train(parse_config({**settings, **changes}), events)

    assert events[-1]["event"] == "done"
    assert all(0 < said["grad_norm"] < 1e4 for said in events.of("step"))


def test_a_cold_model_learns_the_best_answers_first_and_is_its_own_reference(settings):
    events = Events()

    train(parse_config({**settings, "sft_epochs": 6, "learning_rate": 3e-3}), events)

    warm = [said["loss"] for said in events.of("warm")]
    assert warm[-1] < warm[0] - 0.2
    first = events.of("step")[0]
    assert first["winner_log_ratio"] == pytest.approx(0, abs=1e-3)  # the reference is the warm model
    manifest = json.loads((Path(settings["output"]) / "model" / "manifest.json").read_text())
    assert manifest["settings"]["sft_epochs"] == 6
    assert not list(Path(settings["output"]).glob(".draft*"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"objective": "tdpo", "credit": "spans"}, "tdpo looks at all tokens; set credit to whole"),
        (
            {"curriculum": "easy-to-hard"},
            "A curriculum goes by pairs, and adpo-list reads",
        ),
        ({"objective": "madpo"}, "madpo needs explicit rewards"),
        ({"merge_votes": True, "criteria": {"overall": 1}}, "Set merge_votes or criteria, not both"),
        ({"criteria": {"overall": 0}}, "The setting criteria is"),
        ({"vote_weights": ["mood"]}, "The setting vote_weights is"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_and_nothing_is_written(settings, changes, sentence):
    with pytest.raises(TrainingError, match=sentence):
        train(parse_config({**settings, **changes}), Events())

    assert not Path(settings["output"]).exists()


def test_an_objective_is_checked_before_anything_is_read():
    config = parse_config({"data": "d", "base": "b", "output": "o", "objective": "dop"})

    with pytest.raises(TrainingError, match='Did you mean "dpo"'):
        objective_of(config)
