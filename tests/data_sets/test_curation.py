"""Data sets that a reward model chose. The model is made up here: it likes what is short."""

import json

import pytest

from arena.errors import BadInput
from arena.models import DataSet, Job, TrainingRun
from arena.services.curation import request_curation
from arena.services.data_sets import FORMATS, data_set_folder, verify_data_set, write_data_set
from arena.services.lineage import retracted_votes, traces_of
from arena.services.training import end_training
from arena.services.votes import rule_on_vote
from gpu_workers.curate import Choice
from tests import factories


class Likes:
    """Rewards by response text."""

    def __init__(self, rewards: dict[str, float]) -> None:
        self.rewards = rewards

    def score(self, rankings):
        return [tuple(self.rewards[text] for text in one.texts) for one in rankings]


@pytest.fixture
def rewards(voted_arena) -> dict[str, float]:
    """Ann's responses are best, then Bob's, then Cy's; no two of the same reward."""
    order = {"Ann": 30.0, "Bob": 20.0, "Cy": 10.0}
    found = {}
    for contestant in voted_arena.contestants.all():
        for response in contestant.responses.all():
            found[response.text] = order[contestant.name] - response.prompt_id / 1e6
    return found


@pytest.fixture
def source(voted_arena, export) -> DataSet:
    """With three votes more, of which one turns the order round."""
    prompt = voted_arena.prompts.order_by("id").first()
    for ranks in ([1, 2, 3], [1, 2, 3], [3, 2, 1]):
        factories.make_vote(voted_arena, ranks, prompt=prompt)
    return export(voted_arena)


@pytest.fixture
def judge(base, source) -> TrainingRun:
    run = TrainingRun.objects.create(
        arena=base.arena,
        base=base,
        data_set=source,
        name="Taste",
        objective="reward-bradley-terry",
        folder="x/1",
    )
    end_training(run, summary={}, manifest={"result": {}})
    run.refresh_from_db()
    return run


@pytest.fixture
def curate(source, judge, rewards):
    """`curate(keep=…)` is the written data set."""

    def curated(**wanted) -> DataSet:
        data_set = request_curation(data_set=source, reward_model=judge, **wanted)
        chosen = data_set.filters["curation"]
        choice = Choice(Likes(rewards), "f" * 64, keep=chosen["keep"], least=chosen.get("least", 0.0))
        return write_data_set(data_set, choice=choice)

    return curated


def rows_of(data_set: DataSet, split: str = "train"):
    file = data_set_folder(data_set) / "kwise" / f"{split}-00000-of-00001.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_votes_that_the_model_finds_unlikely_are_left_out_and_the_rest_is_as_it_was(curate, source):
    curated = curate(least=0.4)

    kept = {row["vote_id"]: row for row in rows_of(curated)}
    before = {row["vote_id"]: row for row in rows_of(source)}
    left = before.keys() - kept.keys()
    # The picked Bob over Ann and Cy is half likely; turned round is unlikely; what orders nothing stays.
    assert [before[vote]["ranks"] for vote in left] == [[3, 2, 1]]
    for vote, row in kept.items():
        assert {**row, "voter": ""} == {**before[vote], "voter": ""}  # another pseudonym, and nothing else
    assert len(rows_of(curated, "held_out")) == len(rows_of(source, "held_out"))


def test_it_is_a_data_set_like_any_with_a_card_that_says_who_chose(curate, source):
    curated = curate(least=0.4)

    verify_data_set(curated)
    assert curated.formats == list(FORMATS)
    told = curated.manifest["curated"]
    assert (told["votes"], told["kept"], len(told["dropped"])) == (7, 6, 1)
    assert curated.manifest["left_out"]["not chosen by the reward model"] == 1
    card = (data_set_folder(curated) / "README.md").read_text()
    assert (
        f'Chosen of data set {source.number} by the reward model "Taste" (sha256 ffffffffffff): 6 of 7'
        in card
    )


def test_best_of_n_is_one_preference_per_prompt_that_names_the_model(curate):
    curated = curate(keep="best-of-n")

    rows = rows_of(curated)
    assert len({row["prompt_id"] for row in rows}) == len(rows) == 2
    for row in rows:
        assert [one["contestant"] for one in row["responses"]] == ["Ann", "Cy"]
        assert (row["ranks"], row["judge"], row["voter"]) == ([1, 2], "f" * 12, f"reward model {'f' * 12}")
    assert curated.counts["trl-preference"]["train"] == 2
    assert "Nobody cast these" in (data_set_folder(curated) / "README.md").read_text()


def test_a_vote_that_was_not_kept_is_not_traced_to_it(curate, source, voted_arena):
    curated = curate(least=0.4)
    (dropped,) = curated.manifest["curated"]["dropped"]
    kept = rows_of(curated)[0]["vote_id"]

    assert traces_of(arena=voted_arena, vote=int(dropped)).data_sets == (source,)
    assert traces_of(arena=voted_arena, vote=int(kept)).data_sets == (source, curated)
    for vote in (dropped, kept):
        rule_on_vote(vote=voted_arena.votes.get(pk=vote), action="withdrawn", reason="asked for it", by=None)
    assert (retracted_votes(source), retracted_votes(curated)) == (2, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keep": "most"}, "There is no way 'most' to choose. Known are agreeing, best-of-n."),
        ({"least": 1.5}, "it must be from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_and_no_number_is_given(source, judge, change, sentence):
    with pytest.raises(BadInput, match=sentence):
        request_curation(data_set=source, reward_model=judge, **change)

    assert DataSet.objects.count() == 1
    assert not Job.objects.filter(kind=Job.Kind.CURATE).exists()


def test_a_choice_of_a_choice_is_refused(curate, judge):
    with pytest.raises(BadInput, match="Choose of data set 1"):
        request_curation(data_set=curate(), reward_model=judge)


def test_a_run_that_is_no_reward_model_cannot_choose(source, judge):
    TrainingRun.objects.update(objective="dpo")

    with pytest.raises(BadInput, match="no finished reward model"):
        request_curation(data_set=source, reward_model=judge)


def test_the_work_looks_every_few_votes_whether_it_is_still_wanted(rewards, source):
    looks = []
    choice = Choice(Likes(rewards), "f", keep="agreeing", least=0.0, check=lambda: looks.append(1))

    choice.of([(row, "train") for row in rows_of(source)] * 5)

    assert len(looks) == 3  # of thirty-five votes
