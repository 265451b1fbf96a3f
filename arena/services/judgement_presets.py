"""Forms of a judgement to begin with, after the studies that made them known."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from arena.services.judgement import Criterion, Judgement, Reason


@dataclass(frozen=True)
class Preset:
    """A form with a name. `k` is how many responses a battle it is for; None: any number."""

    key: str
    title: str
    sentence: str
    form: Judgement
    k: int | None = None


def presets() -> list[Preset]:
    """All of them, in the reader's language."""
    return [
        Preset("ranking", _("Quick ranking"), _("All responses in order, and nothing else."), Judgement()),
        Preset(
            "best",
            _("Best only"),
            _("One press on the best response."),
            Judgement(ask="best"),
        ),
        Preset(
            "strength",
            _("Careful pairwise"),
            _("Two responses, how much better on −3 to 3, how sure, and why (HelpSteer)."),
            Judgement(
                ask="strength",
                confidence="required",
                reason=Reason(need="required", min_length=20),
                report=True,
                all_bad=False,
            ),
            k=2,
        ),
        Preset(
            "hth",
            _("Helpful, truthful, harmless"),
            _("A ranking, and one for each of three criteria, with confidence (MultiPref)."),
            Judgement(criteria=_hth(), confidence="required", reason=Reason(need="optional"), report=True),
        ),
        Preset(
            "progress",
            _("Progress 0 to 100"),
            _("The better one, how far each came from 0 to 100, and why (RoboArena)."),
            Judgement(
                criteria=(
                    Criterion(
                        "progress",
                        _("Progress"),
                        _("How far the response gets with the task: 0 is not at all, 100 is all of it."),
                        "scale",
                    ),
                ),
                reason=Reason(need="required", min_length=10),
                report=True,
            ),
        ),
        Preset(
            "alignment",
            _("Alignment and aesthetics"),
            _("A ranking, with what fits the prompt counting for more than what looks good (K-Sort)."),
            Judgement(
                criteria=(
                    Criterion(
                        "alignment", _("Alignment"), _("Does it show what the prompt asks for?"), weight=0.7
                    ),
                    Criterion("aesthetics", _("Aesthetics"), _("Is it well made?"), weight=0.3),
                ),
                report=True,
            ),
        ),
    ]


def _hth() -> tuple[Criterion, ...]:
    return (
        Criterion("helpful", _("Helpful"), _("Does it do what the prompt asks, as far as it can be done?")),
        Criterion("truthful", _("Truthful"), _("Is it true, and not misleading by what it leaves out?")),
        Criterion("harmless", _("Harmless"), _("Would it hurt nobody to follow it?")),
    )
