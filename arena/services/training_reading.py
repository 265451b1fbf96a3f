"""What a finished run's own figures say, in sentences: what to make of them, and what to do about it.

The thresholds are rules of thumb, not tests; where a figure has an interval, it is the interval that decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena.models import TrainingRun
from arena.services.objectives import REWARD_MODELS
from ranking.annotators import NORMAL_95, wilson

FEW, FEW_SAMPLES = 10, 8  # held-out rankings, and fresh samples, of which nothing is read
RISEN = 1.01  # times the loss before
FALLEN = -1.0  # nats by which the best responses became less likely
FAR = 10.0  # nats of sequence KL
REPEATS, ENDS, DIFFERENT = 0.1, 0.9, 0.5
LONGER = 1.3
# The least and the most that a figure can be.
ENDLESS = (float("-inf"), float("inf"))
LIMITS = {"accuracy": (0.0, 1.0), "kendall_tau": (-1.0, 1.0), "win_rate": (0.0, 1.0)}


@dataclass(frozen=True)
class Reading:
    """One sentence, and whether it warns."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Interval:
    lower: float
    upper: float


def interval_of(
    part: Mapping[str, Any] | None, name: str, low: float = ENDLESS[0], high: float = ENDLESS[1]
) -> Interval | None:
    """The 95 % interval of a figure that the trainer gave a standard error, kept between `low` and `high`."""
    part = part or {}
    value, error = part.get(name), part.get(f"{name}_se")
    if value is None or error is None:
        return None
    return Interval(max(low, value - NORMAL_95 * error), min(high, value + NORMAL_95 * error))


def share_interval(share: float, of: int) -> Interval:
    """The 95 % interval of a share of so many samples."""
    found = wilson(round(share * of), of)
    return Interval(found.lower, found.upper)


def readings(run: TrainingRun) -> list[Reading]:
    """What the figures of a finished run say; of a dry run nothing."""
    summary = run.summary
    if run.completed_at is None or summary.get("dry_run"):
        return []
    before, after = summary.get("before") or {}, summary.get("after") or {}
    rewards = run.objective.startswith(REWARD_MODELS)
    few = _few(after)
    told = [few] if few else [_learnt(after), _by_heart(before, after)]
    if not rewards:
        told += [None if few else _displaced(after), *_samples(summary.get("fresh"), after)]
    return [one for one in told if one is not None]


def _few(after: Mapping[str, Any]) -> Reading | None:
    """That too little was held out to read anything of it."""
    rankings = after.get("rankings")
    if not rankings or rankings >= FEW:
        return None
    told = ngettext(
        "%(count)s held-out ranking is too few to tell what was learnt: vote on more held-out prompts.",
        "%(count)s held-out rankings are too few to tell what was learnt: vote on more held-out prompts.",
        rankings,
    )
    return Reading(told % {"count": rankings}, warns=True)


def _learnt(after: Mapping[str, Any]) -> Reading | None:
    """Whether the order of held-out pairs is better than guessing."""
    accuracy, rankings = after.get("accuracy"), after.get("rankings")
    if accuracy is None or not rankings:
        return None
    known = interval_of(after, "accuracy", *LIMITS["accuracy"])
    words = {"share": f"{accuracy:.0%}", "rankings": rankings}
    if known is None:
        return Reading(
            _("Of the pairs in %(rankings)s held-out rankings it puts %(share)s in the voters' order.")
            % words
        )
    words |= {"lower": f"{known.lower:.0%}", "upper": f"{known.upper:.0%}"}
    told = _(
        "Of the pairs in %(rankings)s held-out rankings it puts %(share)s in the voters' order "
        "(95 %% interval %(lower)s to %(upper)s)."
    )
    if known.lower > 0.5:
        return Reading(told % words + " " + _("That is more than guessing."))
    if known.upper < 0.5:
        return Reading(told % words + " " + _("That is worse than guessing: the run did harm."), warns=True)
    doubt = _("So few cannot tell it from guessing: vote on more held-out prompts.")
    return Reading(told % words + " " + doubt, warns=True)


def _by_heart(before: Mapping[str, Any], after: Mapping[str, Any]) -> Reading | None:
    old, new = before.get("loss"), after.get("loss")
    if old is None or new is None or new <= RISEN * old:
        return None
    return Reading(
        _(
            "The loss on held-out prompts rose from %(old)s to %(new)s: it has begun to learn the votes by "
            "heart. Fewer epochs, a lower learning rate or more votes help."
        )
        % {"old": f"{old:.3g}", "new": f"{new:.3g}"},
        warns=True,
    )


def _displaced(after: Mapping[str, Any]) -> Reading | None:
    ratio = after.get("winner_log_ratio")
    if ratio is None or ratio >= FALLEN:
        return None
    return Reading(
        _(
            "On held-out prompts the responses that voters liked best became %(nats)s nats less likely than "
            "under the base. Only the gap to the others is learnt, so both may fall; the weight then goes to "
            "texts that nobody has judged. If what it writes got worse, raise the SFT weight or beta, lower "
            "the learning rate, or choose DPO-Positive."
        )
        % {"nats": f"{-ratio:.1f}"},
        warns=True,
    )


def _samples(fresh: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Reading | None]:
    """What the fresh samples say of how far it went, and of whether it still writes."""
    fresh = fresh or {}
    samples = fresh.get("samples")
    if not samples or samples < FEW_SAMPLES:
        return []
    return [_far(fresh), _breaks(fresh), _length(fresh), _wins(fresh, samples)]


def _far(fresh: Mapping[str, Any]) -> Reading | None:
    kl = fresh.get("sequence_kl")
    if kl is None or kl < FAR:
        return None
    told = _("It went %(nats)s nats from the base per response, which is far. A larger beta keeps it closer.")
    return Reading(told % {"nats": f"{kl:.1f}"}, warns=True)


def _breaks(fresh: Mapping[str, Any]) -> Reading | None:
    """Text that repeats itself, does not end, or is always the same."""
    base = fresh.get("before") or {}
    ended, repeats, distinct = (fresh.get(name) for name in ("ended", "repetition", "distinct"))
    if repeats is not None and repeats > max(REPEATS, 2 * base.get("repetition", 0.0)):
        told = _(
            "%(share)s of what it writes is repeated: the text is breaking up. Raise beta or the SFT weight."
        )
        return Reading(told % {"share": f"{repeats:.0%}"}, warns=True)
    if ended is not None and ended < min(ENDS, base.get("ended", 1.0)):
        told = _("Only %(share)s of the samples came to an end. Raise the SFT weight: it teaches to stop.")
        return Reading(told % {"share": f"{ended:.0%}"}, warns=True)
    if distinct is not None and distinct < min(DIFFERENT, base.get("distinct", 1.0)):
        told = _("It writes the same again and again: only %(share)s of the samples differ. Raise beta.")
        return Reading(told % {"share": f"{distinct:.0%}"}, warns=True)
    return None


def _length(fresh: Mapping[str, Any]) -> Reading | None:
    old, new = (fresh.get("before") or {}).get("length"), fresh.get("length")
    if not old or not new or old / LONGER < new < old * LONGER:
        return None
    words = {"old": f"{old:.0f}", "new": f"{new:.0f}"}
    if new > old:
        told = _(
            "It writes longer: %(new)s tokens instead of %(old)s. Where voters did not ask for that, a "
            "length-aware objective (R-DPO, SimPO, LD-DPO) holds it back."
        )
        return Reading(told % words, warns=True)
    return Reading(_("It writes shorter: %(new)s tokens instead of %(old)s.") % words)


def _wins(fresh: Mapping[str, Any], samples: int) -> Reading | None:
    rate = fresh.get("win_rate")
    if rate is None:
        return None
    words = {"share": f"{rate:.0%}", "samples": samples}
    known = interval_of(fresh, "win_rate", *LIMITS["win_rate"])
    if known is None:
        return Reading(
            _("The reward model likes %(share)s of its %(samples)s samples better than the base's.") % words
        )
    words |= {"lower": f"{known.lower:.0%}", "upper": f"{known.upper:.0%}"}
    told = _(
        "The reward model likes %(share)s of its %(samples)s samples better than the base's (95 %% interval "
        "%(lower)s to %(upper)s). It is a model's opinion; people's is the arena's."
    )
    return Reading(told % words)
