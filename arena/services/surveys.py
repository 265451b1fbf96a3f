"""Consent, and questions about the voter: asked once before the first battle, kept apart from the votes.

Answers are in no export; leads see counts. A new text of consent is asked again, changed
questions are not. Where the survey asks for no consent it may be passed over.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import BadInput, ConsentNeeded
from arena.models import Arena, Survey, SurveyAnswer, Voter
from arena.services import audit

MOST_QUESTIONS, MOST_CHOICES = 20, 60
LONGEST_CONSENT, LONGEST_LABEL, LONGEST_ANSWER = 20_000, 200, 500
# Fewer than this many people are not told apart in what leads see.
SMALLEST_GROUP = 3


@dataclass(frozen=True)
class Question:
    """One question: a choice of one, a choice of several, or a short text. None must be answered."""

    key: str
    label: str
    kind: str
    choices: tuple[str, ...] = ()


KINDS = ("one", "several", "text")


def survey_of(arena: Arena) -> Survey | None:
    """The newest version, where it asks for anything."""
    survey = arena.surveys.order_by("-number").first()
    return survey if survey is not None and (survey.consent or survey.questions) else None


def waiting_survey(*, arena: Arena, voter: Voter) -> Survey | None:
    """The survey that this voter has still to see; None for programs and where all is answered."""
    if voter.kind != Voter.Kind.PERSON:
        return None
    survey = survey_of(arena)
    if survey is None:
        return None
    given = SurveyAnswer.objects.filter(voter=voter, survey__arena=arena)
    if survey.consent:
        given = given.filter(survey__consent=survey.consent, agreed_at__isnull=False)
    return None if given.exists() else survey


def check_asked(*, arena: Arena, voter: Voter) -> None:
    """Raises ConsentNeeded where the voter has still to answer."""
    if waiting_survey(arena=arena, voter=voter) is not None:
        raise ConsentNeeded(
            _("This arena asks you something before your first battle. Open its voting page.")
        )


def questions_of(survey: Survey) -> list[Question]:
    return parse_questions(survey.questions)


def parse_questions(data: Any) -> list[Question]:
    """Read the questions, or raise BadInput with the sentence that says what to put right."""
    if not isinstance(data, list) or len(data) > MOST_QUESTIONS:
        raise BadInput(_("Questions are a list of at most %(n)s.") % {"n": MOST_QUESTIONS})
    questions = [_question(one) for one in data]
    keys = [one.key for one in questions]
    if len(set(keys)) < len(keys):
        raise BadInput(_("Two questions are the same. Change or remove one."))
    return questions


def _question(data: Any) -> Question:
    if not isinstance(data, Mapping):
        raise BadInput(_("A question is an object with key, label, kind and choices."))
    key, label, kind = data.get("key"), data.get("label"), data.get("kind", "one")
    choices = data.get("choices", [])
    if not isinstance(key, str) or not key.isidentifier() or len(key) > 40:
        raise BadInput(
            _("The key of a question is a word of letters, digits and _: not %(key)r.") % {"key": key}
        )
    if not isinstance(label, str) or not 0 < len(label.strip()) <= LONGEST_LABEL:
        raise BadInput(_("Each question has a text of 1 to %(n)s characters.") % {"n": LONGEST_LABEL})
    if kind not in KINDS:
        raise BadInput(
            _("A question is one of %(known)s, not %(kind)r.") % {"known": ", ".join(KINDS), "kind": kind}
        )
    fits = isinstance(choices, list | tuple) and len(choices) <= MOST_CHOICES
    if not fits or not all(isinstance(one, str) and 0 < len(one) <= LONGEST_LABEL for one in choices):
        raise BadInput(_("The choices of “%(label)s” are short texts.") % {"label": label})
    if kind != "text" and len(set(choices)) < 2:
        raise BadInput(_("“%(label)s” needs at least two different choices.") % {"label": label})
    return Question(key, label.strip(), kind, tuple(dict.fromkeys(choices)) if kind != "text" else ())


@transaction.atomic
def revise_survey(*, arena: Arena, consent: str, questions: Any, by: User | None) -> Survey | None:
    """Ask this from now on; with nothing to ask the survey is off. Raises BadInput."""
    consent = consent.replace("\r\n", "\n").strip()
    if len(consent) > LONGEST_CONSENT:
        raise BadInput(_("The text of consent is longer than %(n)s characters.") % {"n": LONGEST_CONSENT})
    rows = [
        {"key": one.key, "label": one.label, "kind": one.kind, "choices": list(one.choices)}
        for one in parse_questions(questions)
    ]
    newest = arena.surveys.order_by("-number").first()
    if newest is None and not consent and not rows:
        return None
    if newest is not None and (newest.consent, newest.questions) == (consent, rows):
        return newest
    number = 1 + (newest.number if newest else 0)
    survey = Survey.objects.create(arena=arena, number=number, consent=consent, questions=rows, created_by=by)
    audit.record(action="survey revised", target=arena, actor=by, details={"version": number})
    return survey


def answer_survey(*, survey: Survey, voter: Voter, agreed: bool, answers: Mapping[str, Any]) -> SurveyAnswer:
    """Keep the consent and what was answered of the questions. Raises BadInput; nothing is kept then."""
    if survey.consent and not agreed:
        raise BadInput(_("Without your consent there is no battle for you here. Tick it, or leave the page."))
    kept = {}
    for question in questions_of(survey):
        value = answers.get(question.key)
        if value not in (None, "", []):
            kept[question.key] = _checked(question, value)
    answer, _made = SurveyAnswer.objects.update_or_create(
        survey=survey,
        voter=voter,
        defaults={
            "agreed_at": timezone.now() if survey.consent else None,
            "answers": kept,
            "deleted_at": None,
        },
    )
    return answer


def _checked(question: Question, value: Any) -> Any:
    values = list(value) if question.kind == "several" and isinstance(value, list | tuple) else [value]
    for one in values:
        if not isinstance(one, str) or len(one) > LONGEST_ANSWER or "\x00" in one:
            raise BadInput(_("The answer to “%(label)s” is too long.") % {"label": question.label})
        if question.kind != "text" and one not in question.choices:
            raise BadInput(_("Choose one of the answers to “%(label)s”.") % {"label": question.label})
    return values if question.kind == "several" else values[0].strip()


def delete_answers(*, arena: Arena, voter: Voter) -> int:
    """Delete what the voter said of themselves in this arena; that they agreed, and when, stays."""
    given = SurveyAnswer.objects.filter(survey__arena=arena, voter=voter, deleted_at=None)
    return int(given.exclude(answers={}).update(answers={}, deleted_at=timezone.now()))


def has_answers(*, arena: Arena, voter: Voter | None) -> bool:
    """Whether there is anything that the voter could have deleted."""
    if voter is None:
        return False
    return SurveyAnswer.objects.filter(survey__arena=arena, voter=voter).exclude(answers={}).exists()


def survey_counts(survey: Survey) -> list[dict[str, Any]]:
    """By question how often each choice was given; few answers are not told apart, texts not shown."""
    given = list(SurveyAnswer.objects.filter(survey__arena=survey.arena_id).values_list("answers", flat=True))
    rows = []
    for question in questions_of(survey):
        counts: Counter[str] = Counter()
        for answers in given:
            value = answers.get(question.key)
            counts.update(value if isinstance(value, list) else [] if value is None else [value])
        answered = sum(question.key in answers for answers in given)
        shown = [
            {"choice": choice, "count": counts[choice] if counts[choice] >= SMALLEST_GROUP else None}
            for choice in question.choices
        ]
        rows.append({"question": question, "answered": answered, "choices": shown})
    return rows
