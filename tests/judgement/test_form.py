"""The form of an arena: what can be asked, and what is refused with a sentence."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.errors import BadInput
from arena.models import Arena
from arena.services.guidelines import current_version, revise, shown_version
from arena.services.judgement import (
    Criterion,
    Judgement,
    Reason,
    check_for_arena,
    judgement_data,
    judgement_of,
    parse_judgement,
)
from arena.services.judgement_presets import presets
from tests import factories

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)

KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
CRITERIA = st.builds(
    Criterion,
    key=KEYS,
    label=st.text("abc äß", min_size=1, max_size=20).filter(str.strip).map(str.strip),
    guideline=st.text("abc ", max_size=30).map(str.strip),
    kind=st.sampled_from(["rank", "scale", "choice"]),
    weight=st.floats(0, 1000, allow_nan=False),
)
FORMS = st.builds(
    Judgement,
    ask=st.sampled_from(["ranking", "best", "strength"]),
    all_bad=st.booleans(),
    skip=st.booleans(),
    criteria=st.lists(CRITERIA, max_size=4, unique_by=lambda one: one.key).map(tuple),
    confidence=st.sampled_from(["off", "optional", "required"]),
    reason=st.builds(
        Reason,
        need=st.sampled_from(["off", "optional", "required"]),
        tags=st.lists(st.sampled_from(["clear", "short", "true"]), unique=True).map(tuple),
        min_length=st.integers(0, 5000),
    ),
    spans=st.booleans(),
    parts=st.sampled_from(["off", "good_bad", "preference"]),
    split=st.sampled_from(["paragraph", "step"]),
    undo=st.none() | st.booleans(),
)


@patient
@given(FORMS)
def test_a_form_is_read_as_it_was_written(form):
    assert parse_judgement(judgement_data(form)) == form


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab\x00é", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "ask", "need", "tags", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@patient
@given(st.dictionaries(st.sampled_from([*judgement_data(Judgement()), "asks"]), ANYTHING) | ANYTHING)
def test_anything_else_is_a_form_or_a_sentence(data):
    form, said = Judgement(), "."
    try:
        form = parse_judgement(data)
    except BadInput as refusal:
        said = str(refusal)

    assert said[-1] in ".?"
    assert parse_judgement(judgement_data(form)) == form


def test_nothing_is_the_ranking_that_arenas_always_had():
    form = parse_judgement({})

    assert form == Judgement()
    assert form.quick
    assert (form.ask, form.all_bad, form.skip) == ("ranking", True, True)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"asc": "best"}, 'There is no judgement "asc". Did you mean "ask"?'),
        ({"ask": "rankng"}, 'Did you mean "ranking"?'),
        ({"skip": "yes"}, "skip is true or false, not 'yes'."),
        ({"criteria": [{"key": "Helpful"}]}, "The key of a criterion is a small letter"),
        ({"criteria": [{"key": "a"}, {"key": "a"}]}, 'Two criteria have the key "a".'),
        ({"criteria": [{"key": "a", "weight": -1}]}, "The weight of a is a number from 0 to 1000"),
        ({"criteria": [{"key": "a", "knd": "rank"}]}, 'Did you mean "kind"?'),
        ({"criteria": [{"key": f"c{n}"} for n in range(9)]}, "at most 8"),
        ({"reason": {"need": "required", "text": False}}, "Give one of them."),
        ({"reason": {"min_length": -3}}, "min_length is a whole number from 0"),
        ({"rewrites_compete": True}, "Switch rewrites on too."),
    ],
)
def test_what_is_wrong_is_named(data, says):
    with pytest.raises(BadInput) as refusal:
        parse_judgement(data)

    assert says in str(refusal.value)


def test_strength_needs_battles_of_two(db):
    with pytest.raises(BadInput, match="Set that to 2 first"):
        check_for_arena(Judgement(ask="strength"), factories.make_arena(k=4))
    check_for_arena(Judgement(ask="strength"), factories.make_arena(k=2))


def test_every_preset_is_a_form_that_can_be_stored():
    found = presets()

    assert len(found) == len({one.key for one in found}) == 6
    for preset in found:
        assert parse_judgement(judgement_data(preset.form)) == preset.form
        assert preset.title
        assert preset.sentence.endswith(".")


@pytest.mark.django_db
class TestVersions:
    def test_an_arena_that_asks_nothing_has_none(self):
        assert current_version(factories.make_arena()) is None

    def test_each_change_is_a_new_number_and_the_same_again_is_not(self):
        arena = factories.make_arena()

        assert revise(arena=arena, by=None, text="Be fair.").number == 1
        assert revise(arena=arena, by=None, text="Be fair.").number == 1
        assert revise(arena=arena, by=None, form=Judgement(confidence="optional")).number == 2
        assert [one.text for one in arena.guideline_versions.all()] == ["Be fair.", "Be fair."]
        assert judgement_of(arena).confidence == "optional"

    def test_guidelines_changed_elsewhere_get_their_number_from_the_next_reader(self):
        arena = factories.make_arena(guidelines="One")
        assert current_version(arena).number == 1
        Arena.objects.update(guidelines="Two")
        arena.refresh_from_db()

        assert current_version(arena).number == 2
        assert current_version(arena).number == 2

    def test_a_page_that_was_open_keeps_its_form(self, open_arena):
        revise(arena=open_arena, by=None, form=Judgement(confidence="required"))
        battle = factories.make_battle(open_arena)
        revise(arena=open_arena, by=None, form=Judgement(spans=True))

        assert shown_version(battle=battle, number=1)[1].confidence == "required"
        assert shown_version(battle=battle, number=None)[1].spans

    def test_a_form_of_before_the_battle_is_not_taken(self, open_arena):
        revise(arena=open_arena, by=None, form=Judgement())
        revise(arena=open_arena, by=None, form=Judgement(confidence="optional"))
        revise(arena=open_arena, by=None, form=Judgement(confidence="required"))
        battle = factories.make_battle(open_arena)

        assert shown_version(battle=battle, number=1) == shown_version(battle=battle, number=None)
        assert shown_version(battle=battle, number=99)[1].confidence == "required"
