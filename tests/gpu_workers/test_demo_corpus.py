"""The demo's prompts and grammar: enough of them, always the same, and they agree with each other."""

import random

import pytest

from arena.demo_corpus import (
    HELD_OUT,
    TRAIN,
    Style,
    Taste,
    answer,
    is_on_topic,
    is_readable,
    prompt_of,
    prompts,
    sentences_in,
    traits,
)

STYLES = [Style(), Style(polite=1), Style(short=1, polite=0), Style(short=0, cheerful=1, polite=1)]


def test_there_are_many_different_prompts_and_a_share_is_held_out():
    found = prompts()

    assert len(found) >= 240
    assert len({prompt.key for prompt in found}) == len({prompt.text for prompt in found}) == len(found)
    held_out = sum(prompt.split == HELD_OUT for prompt in found)
    assert 0.1 < held_out / len(found) < 0.2
    assert {prompt.split for prompt in found} == {TRAIN, HELD_OUT}


def test_each_subject_and_each_kind_of_a_held_out_prompt_is_known_from_others():
    seen = [prompt for prompt in prompts() if prompt.split == TRAIN]
    for prompt in prompts():
        if prompt.split == HELD_OUT:
            assert sum(other.subject is prompt.subject for other in seen) >= 3
            assert sum(other.kind is prompt.kind for other in seen) >= 3


@pytest.mark.parametrize("style", STYLES)
def test_every_answer_is_readable_on_topic_and_short_enough(style: Style):
    rng = random.Random(5)
    for prompt in prompts():
        text = answer(prompt, rng, style)
        assert is_readable(text), text
        assert is_on_topic(prompt, text), (prompt.text, text)
        assert 1 <= len(sentences_in(text)) <= 4
        assert not set("{}|") & set(text + prompt.text)


def test_the_same_seed_writes_the_same_answers():
    def written(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [answer(prompt, rng) for prompt in prompts()]

    assert written(1) == written(1)
    assert written(1) != written(2)


def test_a_style_shows_in_the_answers():
    def rate(style: Style, trait: str) -> float:
        rng = random.Random(2)
        seen = [getattr(traits(answer(prompt, rng, style)), trait) for prompt in prompts()]
        return sum(seen) / len(seen)

    assert rate(Style(polite=0), "polite") == 0 < 0.3 < rate(Style(), "polite") < 0.7 < 0.95
    assert rate(Style(polite=1), "polite") == 1
    assert rate(Style(short=1, polite=0, cheerful=0), "short") > 0.9
    assert rate(Style(short=0), "short") < 0.1
    assert rate(Style(cheerful=0), "cheerful") == 0 < 0.15 < rate(Style(), "cheerful")


def test_slips_are_seen():
    rng = random.Random(3)
    faulty = [
        not (is_readable(text) and is_on_topic(prompt, text))
        for prompt in prompts()
        for text in [answer(prompt, rng, Style(slip=1, cheerful=0, polite=0))]
    ]
    assert sum(faulty) / len(faulty) > 0.9


def test_other_subjects_answers_are_off_topic():
    cat, dog = prompt_of("animal-food-cat"), prompt_of("animal-food-dog")
    text = answer(cat, random.Random(0), Style(short=1))

    assert is_on_topic(cat, text)
    assert not is_on_topic(dog, text)
    assert not is_on_topic(cat, "")
    assert not is_readable("")
    assert not is_readable(f"{text} {text}")
    assert not is_readable(text[:-4])


def test_a_taste_ranks_by_its_points_with_ties():
    prompt = prompt_of("dish-buy-soup")
    plain = "For tomato soup, you need basil."
    kind = f"Of course. {plain}"
    garbled = "For soup need basil you."

    ranks = Taste().ranks(prompt, [plain, garbled, kind, plain], random.Random(0))

    assert ranks == [2, 4, 1, 2]
    assert Taste().win(prompt, kind, plain) == 1.0
    assert Taste().win(prompt, garbled, plain) == 0.0
    assert Taste().win(prompt, plain, plain) == 0.5


def test_noise_changes_some_rankings_and_not_the_taste():
    prompt = prompt_of("dish-buy-soup")
    texts = ["For tomato soup, you need basil.", "Of course. For tomato soup, you need basil."]
    rng = random.Random(1)

    seen = [tuple(Taste(noise=1.0).ranks(prompt, texts, rng)) for _ in range(200)]

    assert 100 < seen.count((2, 1)) < 190
