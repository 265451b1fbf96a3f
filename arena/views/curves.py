"""What a training run reports, as charts: lines in a frame of 100 × 100, drawn by the SVG template."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.services.objectives import REWARD_MODELS

MOST_POINTS = 240
STYLES = 8  # ways to draw a line that are told apart without colours too, see style.css
NOISY = 20  # lines of more points are shown with their running mean
WINDOW = 15  # so many windows of the running mean lie in a line
PLACES = "rewards_by_place"
Label = str | Promise
Points = Sequence[tuple[int, float]]

TRAINING, HELD_OUT = gettext_lazy("training"), gettext_lazy("held out")


@dataclass(frozen=True)
class Kind:
    """A chart: what it is called, what a reader makes of it, and which of the trainer's figures are in it.

    ends: the lowest and the highest that the figure can be, where it has such. rewards: whether it makes
    sense for a reward model, which has no probabilities of texts.
    """

    title: Label
    about: Label
    lines: tuple[tuple[str, Label], ...]
    ends: tuple[float, float] | None = None
    rewards: bool = True


def _both(name: str) -> tuple[tuple[str, Label], ...]:
    return (name, TRAINING), (f"eval_{name}", HELD_OUT)


KINDS = (
    Kind(
        gettext_lazy("Loss"),
        gettext_lazy("Lower is better. Held out rising while training falls: it learns by heart."),
        _both("loss"),
    ),
    Kind(
        gettext_lazy("Pairs in the voters' order, share"),
        gettext_lazy("Half is guessing."),
        _both("accuracy"),
        (0.0, 1.0),
    ),
    Kind(
        gettext_lazy("Kendall's tau"),
        gettext_lazy("Of whole rankings: 1 is the voters' order, 0 guessing, -1 the order turned round."),
        _both("kendall_tau"),
        (-1.0, 1.0),
    ),
    Kind(
        gettext_lazy("Mean reward by the voters' rank"),
        gettext_lazy("How far each became likelier than under the base, times beta. Ranks should fan out."),
        ((PLACES, ""),),
    ),
    Kind(
        gettext_lazy("Log-probability against the base, nats"),
        gettext_lazy("The best below zero: the model gives its weight to texts that nobody judged."),
        (
            ("winner_log_ratio", gettext_lazy("the best")),
            ("other_log_ratio", gettext_lazy("the others")),
            ("eval_winner_log_ratio", gettext_lazy("the best, held out")),
        ),
        rewards=False,
    ),
    Kind(
        gettext_lazy("KL to the base on the step's fresh samples, nats"),
        gettext_lazy("How far the model has gone in what it writes by itself."),
        (("online_kl", TRAINING),),
        rewards=False,
    ),
    Kind(
        gettext_lazy("Held-out pairs in order by probability itself, share"),
        gettext_lazy(
            "Which response the model would rather write, and what it could be with this base and beta."
        ),
        (
            ("eval_ranking_accuracy", gettext_lazy("reached")),
            ("eval_idealised_accuracy", gettext_lazy("had the votes been learnt perfectly")),
        ),
        (0.0, 1.0),
        rewards=False,
    ),
    Kind(
        gettext_lazy("Reward margin"),
        gettext_lazy("The mean lead of the better response of a pair."),
        _both("margin"),
    ),
    Kind(
        gettext_lazy("Size of the gradient"),
        gettext_lazy("Jumps say that the learning rate is high."),
        (("grad_norm", TRAINING),),
    ),
    Kind(
        gettext_lazy("Length of the responses learnt from, tokens"),
        gettext_lazy("Of the data, not of what the model writes: fresh samples at the end tell that."),
        (("winner_length", gettext_lazy("the best")), ("length", gettext_lazy("all"))),
    ),
)


@dataclass(frozen=True)
class Line:
    """One line of a chart. path: as reported; mean: its running mean, where the line is noisy; last: the
    newest value, of a noisy line that of the mean.
    """

    label: str
    style: int
    path: str
    mean: str
    dots: tuple[tuple[str, str], ...]  # of few points, where each is
    last: str


@dataclass(frozen=True)
class Chart:
    title: str
    about: str
    lines: tuple[Line, ...]
    low: str
    high: str
    zero: str  # where nought is, in percent from the top; "" where it is not inside
    first_step: int
    last_step: int


def charts_of(metrics: Iterable[tuple[int, Mapping[str, Any]]], *, objective: str) -> list[Chart]:
    """The charts of one run from the steps and figures that it reported."""
    rows = list(metrics)
    drawn = []
    for kind in _kinds(objective):
        named: list[tuple[Label, Points]] = []
        named += [(label, _points(rows, name)) for name, label in kind.lines if name != PLACES]
        if kind.lines[0][0] == PLACES:
            named = [(_("rank %(rank)s") % {"rank": place + 1}, points) for place, points in _by_place(rows)]
        drawn.append(chart(kind, named))
    return [one for one in drawn if one is not None]


def charts_beside(
    runs: Sequence[tuple[str, Iterable[tuple[int, Mapping[str, Any]]]]], *, objectives: Sequence[str]
) -> list[Chart]:
    """The same figure of several runs in one chart, a line for each run."""
    rows = [(name, list(metrics)) for name, metrics in runs]
    drawn = []
    rewards = any(objective.startswith(REWARD_MODELS) for objective in objectives)
    for kind in _kinds(REWARD_MODELS if rewards else ""):
        for figure, label in kind.lines:
            if figure == PLACES:
                continue
            named = [(name, _points(reported, figure)) for name, reported in rows]
            title = f"{kind.title} · {label}" if len(kind.lines) > 1 else str(kind.title)
            drawn.append(chart(kind, named, title=title))
    return [one for one in drawn if one is not None]


def chart(kind: Kind, named: Sequence[tuple[Label, Points]], *, title: str = "") -> Chart | None:
    """The lines of at least two points each in one frame. None where there is none."""
    shown = [
        (place, str(label), finite)
        for place, (label, points) in enumerate(named)
        if (finite := _finite(points))
    ]
    if not shown:
        return None
    steps = [step for _place, _label, points in shown for step, _value in points]
    values = [value for _place, _label, points in shown for _step, value in points]
    low, high = kind.ends or (min(values), max(values))
    frame = Frame(min(steps), max(steps), low, high)
    return Chart(
        title=title or str(kind.title),
        about=str(kind.about),
        lines=tuple(_line(label, place % STYLES, points, frame) for place, label, points in shown),
        low=_short(low),
        high=_short(high),
        zero=f"{frame.y(0.0):.2f}" if low < 0.0 < high else "",
        first_step=frame.first,
        last_step=frame.last,
    )


@dataclass(frozen=True)
class Frame:
    first: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return 100 * (step - self.first) / ((self.last - self.first) or 1)

    def y(self, value: float) -> float:
        return 100 - 100 * (value - self.low) / ((self.high - self.low) or 1)


def _line(label: str, style: int, points: Points, frame: Frame) -> Line:
    noisy = len(points) > NOISY
    mean = _running_mean(points) if noisy else []
    few = [] if noisy else points
    return Line(
        label=label,
        style=style,
        path=_path(points, frame),
        mean=_path(mean, frame) if noisy else "",
        dots=tuple((f"{frame.x(step):.2f}%", f"{frame.y(value):.2f}%") for step, value in few),
        last=_short((mean or points)[-1][1]),
    )


def _path(points: Points, frame: Frame) -> str:
    """A line through the points, thinned to 241."""
    if len(points) > MOST_POINTS:
        points = [*points[: -1 : ceil(len(points) / MOST_POINTS)], points[-1]]
    return "M" + "L".join(f"{frame.x(step):.2f} {frame.y(value):.2f}" for step, value in points)


def _running_mean(points: Points) -> list[tuple[int, float]]:
    """Of each point and those just before it."""
    width = ceil(len(points) / WINDOW)
    sums = [0.0]
    for _step, value in points:
        sums.append(sums[-1] + value)
    return [
        (step, (sums[at + 1] - sums[max(0, at + 1 - width)]) / min(at + 1, width))
        for at, (step, _value) in enumerate(points)
    ]


def _kinds(objective: str) -> list[Kind]:
    return [kind for kind in KINDS if kind.rewards or not objective.startswith(REWARD_MODELS)]


def _points(rows: Iterable[tuple[int, Mapping[str, Any]]], name: str) -> list[tuple[int, float]]:
    return [(step, float(values[name])) for step, values in rows if _is_number(values.get(name))]


def _by_place(rows: Iterable[tuple[int, Mapping[str, Any]]]) -> list[tuple[int, Points]]:
    """The mean reward of the responses of each rank."""
    found: dict[int, list[tuple[int, float]]] = {}
    for step, values in rows:
        for place, reward in enumerate(values.get(PLACES) or ()):
            if _is_number(reward):
                found.setdefault(place, []).append((step, float(reward)))
    return sorted(found.items())


def _finite(points: Points) -> list[tuple[int, float]]:
    finite = [(step, value) for step, value in points if isfinite(value)]
    return finite if len(finite) > 1 else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: float) -> str:
    return f"{value + 0.0:.3g}"  # minus nought is nought
