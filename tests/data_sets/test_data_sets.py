import hashlib
import json
from collections import Counter

import pytest

from arena.errors import BadInput
from arena.models import Arena, Battle, DataSet, Job, Slot, Vote
from arena.services.ballots import Ballot
from arena.services.battles import start_battle
from arena.services.data_sets import (
    FORMATS,
    data_set_folder,
    request_data_set,
    verify_data_set,
    write_data_set,
)
from arena.services.votes import cast_vote, rule_on_vote
from arena.tasks import export_data_set
from tests import factories


def lines(data_set: DataSet, name: str) -> list[dict]:
    text = (data_set_folder(data_set) / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


def kwise(data_set: DataSet, split: str = "train") -> list[dict]:
    return lines(data_set, f"kwise/{split}-00000-of-00001.jsonl")


def vote_without_text(arena: Arena) -> Vote:
    """As an import leaves it whose file has no responses."""
    battle = Battle.objects.create(arena=arena, voter=factories.make_voter(), k=2, strategy="imported")
    for position, contestant in enumerate(arena.contestants.order_by("id")[:2]):
        Slot.objects.create(battle=battle, position=position, contestant=contestant)
    return Vote.objects.create(arena=arena, battle=battle, voter=battle.voter, kind="ranking", ranks=[1, 2])


def test_every_vote_that_judged_is_one_kwise_row_in_the_split_of_its_prompt(voted_arena, export):
    data_set = export(voted_arena, "kwise")

    train, held_out = kwise(data_set), kwise(data_set, "held_out")
    assert [(row["kind"], row["ranks"]) for row in train] == [
        ("ranking", [1, 2, 2]),
        ("best", [None, 1, None]),
        ("all_bad", None),
        ("ranking", [1, 1, 1]),
    ]
    assert [row["ranks"] for row in held_out] == [[3, 2, 1]]
    assert not {row["prompt_id"] for row in train} & {row["prompt_id"] for row in held_out}
    assert data_set.manifest["left_out"] == {"cannot judge": 1}
    assert data_set.manifest["splits"]["train"] == {"votes": 4, "informative": 2, "prompts": 2}


def test_a_row_holds_what_was_shown_in_the_order_it_was_shown(voted_arena, export):
    vote = Vote.objects.order_by("id").first()
    slots = list(vote.battle.slots.order_by("position"))

    row = kwise(export(voted_arena, "kwise"))[0]

    assert row["vote_id"] == str(vote.pk)
    assert row["messages"] == vote.battle.prompt.messages
    assert row["system"] is None
    assert [one["text"] for one in row["responses"]] == [slot.response.text for slot in slots]
    assert [one["contestant"] for one in row["responses"]] == ["Ann", "Bob", "Cy"]
    assert all(one["sha256"] == hashlib.sha256(one["text"].encode()).hexdigest() for one in row["responses"])
    assert row["wall_ms"] == 5000
    assert row["weight"] == 1.0


def test_a_system_message_stands_apart_from_the_messages_and_first_in_trl_s_prompt(voted_arena, export):
    prompt = factories.make_prompt(
        voted_arena,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    )
    factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt)

    data_set = export(voted_arena, "kwise", "trl-preference")

    row = kwise(data_set)[-1]
    assert (row["system"], row["messages"]) == ("Be brief.", [{"role": "user", "content": "Why?"}])
    assert lines(data_set, "trl-preference/train-00000-of-00001.jsonl")[-1]["prompt"] == prompt.messages


def test_voters_have_other_pseudonyms_in_every_data_set(voted_arena, export):
    voter = Vote.objects.order_by("id").first().voter

    first, second = export(voted_arena, "kwise"), export(voted_arena, "kwise")

    assert kwise(first)[0]["voter"] != kwise(second)[0]["voter"]
    for data_set in (first, second):
        everything = b"".join(
            path.read_bytes() for path in data_set_folder(data_set).rglob("*") if path.is_file()
        )
        assert voter.pseudonym.encode() not in everything


def test_the_same_votes_give_the_same_bytes(voted_arena, export):
    data_set = export(voted_arena)
    hashes = {name: facts["sha256"] for name, facts in data_set.manifest["files"].items()}
    folder = data_set_folder(data_set)
    folder.rename(folder.with_name("first"))
    DataSet.objects.filter(pk=data_set.pk).update(completed_at=None, manifest={}, sha256="")

    again = write_data_set(data_set)

    assert {name: facts["sha256"] for name, facts in again.manifest["files"].items()} == hashes
    first = folder.with_name("first") / "manifest.json"
    assert (folder / "manifest.json").read_bytes() == first.read_bytes()


def test_votes_and_rulings_after_the_request_change_nothing(voted_arena):
    data_set = request_data_set(arena=voted_arena, formats=["kwise"])
    factories.make_vote(voted_arena, [2, 1, 3])
    rule_on_vote(vote=Vote.objects.order_by("id").first(), action="withdrawn", reason="A slip", by=None)

    write_data_set(data_set)

    assert kwise(data_set)[0]["ranks"] == [1, 2, 2]
    assert len(kwise(data_set)) == 4


def test_a_vote_out_of_the_count_is_left_out_and_counted(voted_arena, export):
    first, second = Vote.objects.order_by("id")[:2]
    rule_on_vote(vote=first, action="quarantined", reason="A machine voted", by=None)
    rule_on_vote(vote=second, action="withdrawn", reason="A slip", by=None)
    rule_on_vote(vote=second, action="restored", reason="No slip", by=None)

    data_set = export(voted_arena, "kwise")

    assert str(first.pk) not in {row["vote_id"] for row in kwise(data_set)}
    assert str(second.pk) in {row["vote_id"] for row in kwise(data_set)}
    assert data_set.manifest["left_out"] == {"cannot judge": 1, "withdrawn or quarantined": 1}


def test_a_vote_without_text_is_left_out_and_counted(voted_arena, export):
    battle = vote_without_text(voted_arena).battle

    data_set = export(voted_arena, "kwise")

    assert data_set.manifest["left_out"]["no text"] == 1
    assert str(battle.pk) not in {row["battle_id"] for row in kwise(data_set)}


def test_an_arena_without_votes_gives_one_sentence_and_no_data_set(open_arena):
    with pytest.raises(BadInput, match="has no votes to export yet"):
        request_data_set(arena=open_arena)

    assert not DataSet.objects.exists()
    assert not Job.objects.exists()


def test_votes_that_cannot_be_exported_fail_the_job_with_a_sentence_and_leave_no_folder(open_arena):
    vote_without_text(open_arena)
    data_set = request_data_set(arena=open_arena)
    others = data_set_folder(data_set).parent
    others.mkdir(parents=True, exist_ok=True)
    before = set(others.iterdir())

    export_data_set(data_set.job_id)

    job = Job.objects.get()
    assert (job.state, job.error) == ("failed", "No vote can be exported: 1 (no text).")
    assert set(others.iterdir()) == before


def test_an_unknown_format_is_refused_by_name(voted_arena):
    with pytest.raises(BadInput, match=r"There is no format 'parquet'. Known are kwise, trl-preference"):
        request_data_set(arena=voted_arena, formats=["parquet"])

    assert not DataSet.objects.exists()


def test_numbers_count_up_within_the_arena(voted_arena, open_arena):
    factories.make_vote(open_arena)

    numbers = [request_data_set(arena=arena).number for arena in (voted_arena, open_arena, voted_arena)]

    assert numbers == [1, 1, 2]


def test_the_job_writes_the_data_set_and_once_only(voted_arena):
    data_set = request_data_set(arena=voted_arena)

    export_data_set(data_set.job_id)
    completed_at = DataSet.objects.get().completed_at
    export_data_set(data_set.job_id)

    job = Job.objects.get()
    assert (job.state, job.done, job.total) == ("done", 6, 6)
    assert DataSet.objects.get().completed_at == completed_at
    assert job.result["rows"]["kwise"] == {"train": 4, "held_out": 1}


def test_a_file_that_was_changed_or_is_gone_is_named(voted_arena, export):
    data_set = export(voted_arena, "kwise")
    verify_data_set(data_set)
    file = data_set_folder(data_set) / "kwise" / "train-00000-of-00001.jsonl"

    file.write_text(file.read_text() + "\n")
    with pytest.raises(BadInput, match=r"The file kwise/train-00000-of-00001.jsonl .* was changed"):
        verify_data_set(data_set)
    file.unlink()
    with pytest.raises(BadInput, match=r"The file kwise/train-00000-of-00001.jsonl .* is gone"):
        verify_data_set(data_set)


def test_the_manifest_lists_every_file_with_its_hash(voted_arena, export):
    data_set = export(voted_arena)
    folder = data_set_folder(data_set)

    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert files - {"manifest.json"} == set(data_set.manifest["files"])
    for name, facts in data_set.manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == facts["sha256"]
    assert json.loads((folder / "manifest.json").read_text()) == data_set.manifest


@pytest.mark.parametrize("name", FORMATS)
def test_datasets_reads_every_format_of_the_folder(voted_arena, export, name, tmp_path):
    from datasets import load_dataset

    data_set = export(voted_arena)

    loaded = load_dataset(str(data_set_folder(data_set)), name, cache_dir=str(tmp_path))

    assert {split: table.num_rows for split, table in loaded.items()} == data_set.counts[name]


def test_a_split_without_votes_still_loads(voted_arena, export, tmp_path):
    from datasets import load_dataset

    voted_arena.prompts.update(split="train")
    data_set = export(voted_arena)

    for name in ("kwise", "trl-preference"):
        loaded = load_dataset(str(data_set_folder(data_set)), name, cache_dir=str(tmp_path))
        assert list(loaded) == ["train"]
    held_out = data_set_folder(data_set) / "kwise" / "held_out-00000-of-00001.parquet"
    assert held_out.is_file()  # a reader of the folder finds both splits


def test_many_votes_come_page_by_page_in_their_order(voted_arena, export, monkeypatch):
    monkeypatch.setattr("arena.services.data_sets.votes.PAGE", 2)

    data_set = export(voted_arena, "kwise")

    ids = [int(row["vote_id"]) for row in kwise(data_set)]
    assert ids == sorted(ids)
    assert Counter(row["kind"] for row in kwise(data_set)) == {"ranking": 2, "best": 1, "all_bad": 1}


def joint_vote(arena, ranks=(1, 2, 3)):
    """A vote across prompts: each of three contestants answers a prompt of its own."""
    voter = factories.make_voter()
    battle = start_battle(arena=arena, voter=voter)
    return cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": list(ranks)}, 3))


def rows_of(data_set: DataSet, name: str) -> list[dict]:
    return lines(data_set, f"{name}/train-00000-of-00001.jsonl")


def test_a_vote_across_prompts_gives_each_response_its_own(db, export):
    arena = factories.make_pool("atlas", contestants=3, prompts=5, k=3, joint=True)
    vote = joint_vote(arena)

    data_set = export(arena)

    row = rows_of(data_set, "kwise")[0]
    asked = {slot.contestant.name: slot.response.prompt for slot in vote.battle.slots.all()}
    assert (row["prompt_id"], row["messages"]) == ("", [])
    for response in row["responses"]:
        assert response["prompt_id"] == asked[response["contestant"]].key
        assert response["messages"] == asked[response["contestant"]].messages
    assert rows_of(data_set, "trl-preference") == []  # a pair of two prompts is no pair for DPO
    good, bad = rows_of(data_set, "trl-unpaired")
    assert good["prompt"] == row["responses"][0]["messages"]
    assert bad["prompt"] == row["responses"][2]["messages"]
    assert rows_of(data_set, "openai-dpo") == rows_of(data_set, "llama-factory") == []
    pair = rows_of(data_set, "arena")[0]
    first, second = (pair[f"conversation_{side}"][0]["content"][0]["text"] for side in "ab")
    assert first != second


def test_what_voters_asked_themselves_stays_unless_the_arena_passes_it_on(db, export):
    arena = factories.make_pool("salon", contestants=3, k=3)
    voter = factories.make_voter()
    own = factories.make_prompt(arena, "My own?", asked_by=voter)
    factories.make_vote(arena, [1, 2, 3], voter=voter, prompt=own)
    factories.make_vote(arena, [1, 2, 3])

    kept_back = export(arena, "kwise")
    arena.keep_own_prompts = True
    arena.save()
    passed_on = export(arena, "kwise")

    assert len(rows_of(kept_back, "kwise")) == 1
    assert kept_back.manifest["left_out"] == {"asked by voters themselves": 1}
    assert len(rows_of(passed_on, "kwise")) == 2
