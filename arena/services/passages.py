"""Places in a response: its sentences and parts, and where a passage of what is shown stands in the text.

All offsets count Unicode code points of `Response.text`, as Python does and JavaScript does not.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise

Span = tuple[int, int]

MOST_PASSAGES = 200
# "1. First" is no sentence end, "in 2024. Then" is one.
SENTENCE_END = re.compile(r"(?<=[^\s\d][.!?])\s+|(?<=\d\d[.!?])\s+|(?<=[。！？])\s*")
FENCE = re.compile(r" {0,3}(```+|~~~+)")
STEP = re.compile(r"\s*(?:(?:\*\*)?step\s+\d+|\d{1,3}[.)]\s|[-*+]\s)", re.IGNORECASE)
# How far ahead in the source the next shown word may be: markup, or a link's address, lies between.
REACH, NEAR = 2000, 12


def sentences(text: str) -> list[Span]:
    """The sentences of each line; a line of code is one. At most 200, the rest in the last one."""
    found: list[Span] = []
    for start, end, code in _lines(text):
        if FENCE.match(text[start:end]):
            continue
        cuts = [start]
        if not code:
            cuts += [start + match.end() for match in SENTENCE_END.finditer(text[start:end])]
        cuts.append(end)
        found += pairwise(cuts)
    worded = [(start, end) for start, end in found if any(map(str.isalnum, text[start:end]))]
    return _at_most(text, _trimmed(text, worded))


def parts(text: str, split: str) -> list[Span]:
    """Paragraphs (a block of code is one), or steps where the text numbers or lists at least two."""
    paragraphs = _paragraphs(text)
    if split == "step":
        steps = _steps(text)
        return _at_most(text, steps if len(steps) > 1 else paragraphs)
    return _at_most(text, paragraphs)


def _lines(text: str) -> Iterator[tuple[int, int, bool]]:
    """Start, end and whether it is in a block of code, of every line."""
    at, fence = 0, ""
    for line in text.split("\n"):
        opened = FENCE.match(line)
        code = bool(fence) or bool(opened)
        if opened and not fence:
            fence = opened[1][:3]
        elif opened and opened[1].startswith(fence):
            fence = ""
        yield at, at + len(line), code
        at += len(line) + 1


def _paragraphs(text: str) -> list[Span]:
    found: list[Span] = []
    begun: int | None = None
    end = 0
    for start, stop, code in _lines(text):
        if text[start:stop].strip() or code:
            begun = start if begun is None else begun
            end = stop
        elif begun is not None:
            found.append((begun, end))
            begun = None
    if begun is not None:
        found.append((begun, end))
    return _trimmed(text, found)


def _steps(text: str) -> list[Span]:
    starts = [start for start, end, code in _lines(text) if not code and STEP.match(text[start:end])]
    cuts = [0, *starts, len(text)]
    return _trimmed(text, list(pairwise(cuts)))


def _trimmed(text: str, spans: list[Span]) -> list[Span]:
    """Without white space at the ends, and without those that are nothing else."""
    found = []
    for start, end in spans:
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip())
        end = start + len(piece.strip())
        if start < end:
            found.append((start, end))
    return found


def _at_most(text: str, spans: list[Span]) -> list[Span]:
    if len(spans) <= MOST_PASSAGES:
        return spans
    return [*spans[: MOST_PASSAGES - 1], (spans[MOST_PASSAGES - 1][0], spans[-1][1])]


class _Words(HTMLParser):
    """Collects what a browser's `textContent` is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def shown_text(html: str) -> str:
    """The text of sanitised HTML, as `textContent` gives it in a browser."""
    reader = _Words()
    reader.feed(html)
    reader.close()
    return "".join(reader.pieces)


def places(text: str, shown: str) -> list[int]:
    """For every code point of `shown` its place in the source `text`, or -1 where it is not from there.

    What is shown is the source without its markup, in the same order. Each character is
    looked for where the last one was left; where it is not there, the word it begins is
    looked for ahead. What is shown otherwise (a formula, an entity) stays without a place.
    """
    found = [-1] * len(shown)
    at = 0
    for here, char in enumerate(shown):
        if char.isspace():
            continue
        if at < len(text) and text[at] == char and (at == 0 or _goes_on(shown, here, text, at)):
            found[here] = at
            at += 1
            continue
        ahead = _ahead(shown, here, text, at)
        if ahead >= 0:
            found[here] = ahead
            at = ahead + 1
    return found


def _goes_on(shown: str, here: int, text: str, at: int) -> bool:
    """False where a shown word begins on a character that belongs to markup, as * in "* *word*"."""
    begins = here == 0 or shown[here - 1].isspace()
    return not begins or text[at].isalnum() or _word(shown, here) == text[at : at + len(_word(shown, here))]


def _ahead(shown: str, here: int, text: str, at: int) -> int:
    word = _word(shown, here)
    place = text.find(word, at, at + REACH)
    if 0 <= place - at <= NEAR or (len(word) > 2 and place >= 0 and not _skips(shown, here, text, at, place)):
        return place
    place = text.find(shown[here], at, at + NEAR)
    return -1 if any(map(str.isalnum, text[at:place])) else place


def _skips(shown: str, here: int, text: str, at: int, place: int) -> bool:
    """Whether the next shown word stands before the place found for this one: then it is another's."""
    after = shown[here + len(_word(shown, here)) :].lstrip()
    following = _word(after, 0)
    return len(following) > 2 and text.find(following, at, place) >= 0


def _word(shown: str, here: int) -> str:
    end = here
    while end < len(shown) and end - here < NEAR and not shown[end].isspace():
        end += 1
    return shown[here:end]


def source_span(text: str, shown: str, start: int, end: int) -> Span | None:
    """Where the shown passage stands in the source; None where nothing of it does."""
    found = places(text, shown)
    inside = [place for place in found[start:end] if place >= 0]
    if inside:
        return inside[0], inside[-1] + 1
    # A formula, say: all that lies between what comes before and after it.
    before = [place for place in found[:start] if place >= 0]
    after = [place for place in found[end:] if place >= 0]
    low, high = (before[-1] + 1 if before else 0), (after[0] if after else len(text))
    whole = _trimmed(text, [(low, high)])
    return whole[0] if whole and shown[start:end].strip() else None


def shown_span(text: str, shown: str, start: int, end: int) -> Span | None:
    """Where a passage of the source is shown; None where it is not."""
    inside = [here for here, place in enumerate(places(text, shown)) if start <= place < end]
    return (inside[0], inside[-1] + 1) if inside else None
