"""How much texts differ, and choosing responses of which no two say nearly the same.

Texts are compared by the share of word triples they have in common (Broder 1997: resemblance of
shingles). That sees wording and not meaning: two answers with one opinion in other words count as
different. It needs no model, and means the same for every contestant.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from arena.models import Response

_WORD = re.compile(r"\w+")
# Above this share of common triples two texts are nearly the same.
NEAR = 0.8


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The text's triples of words, lower case; what is shorter is one piece."""
    words = _WORD.findall(text.casefold())
    if len(words) < 3:
        return frozenset({tuple(words)})
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def resemblance(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """From 0 (no triple in common) to 1 (all)."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if one or other else 1.0


def diversity(texts: Sequence[str]) -> float | None:
    """1 less the mean resemblance of all pairs: 0 all the same, 1 nothing in common. None below two texts."""
    found = [shingles(text) for text in texts]
    pairs = [resemblance(one, other) for one, other in combinations(found, 2)]
    return 1.0 - sum(pairs) / len(pairs) if pairs else None


def apart(
    pools: Mapping[int, Sequence[int]], pick: Callable[[Sequence[int]], int], *, near: float = NEAR
) -> dict[int, int]:
    """One response of each pool, picked at random among those that nearly repeat none picked before.

    Where every one of a pool repeats another's, it is picked at random all the same: that two
    contestants write alike is for the voter to say.
    """
    if all(len(pool) == 1 for pool in pools.values()):
        return {name: pool[0] for name, pool in pools.items()}
    wanted = [response for pool in pools.values() for response in pool]
    rows = Response.objects.filter(pk__in=wanted).order_by().values_list("pk", "text")
    texts = {pk: shingles(text) for pk, text in rows}
    chosen: dict[int, int] = {}
    # Those with one response have no choice; the others keep away from them.
    for name in sorted(pools, key=lambda name: len(pools[name])):
        far = [
            one
            for one in pools[name]
            if all(resemblance(texts[one], texts[other]) < near for other in chosen.values())
        ]
        chosen[name] = pick(far or pools[name])
    return chosen
