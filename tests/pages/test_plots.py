from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.views.plots import interval_axis, with_places

NUMBERS = st.floats(-5000, 5000)


def row(lower, rating, upper):
    return {"lower": lower, "rating": rating, "upper": upper}


def test_axis_has_round_ticks_within_it():
    axis = interval_axis([row(912, 1000, 1088), row(700, 800, 900)])

    assert [tick.label for tick in axis.ticks] == ["700", "800", "900", "1000", "1100"]
    for tick in axis.ticks:
        assert axis.low <= float(tick.label) <= axis.high


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted), min_size=1, max_size=12))
def test_every_interval_is_drawn_inside_in_its_order(triples):
    rows = [row(*triple) for triple in triples]
    axis = interval_axis(rows)

    assert 1 <= len(axis.ticks) <= 6
    for placed in with_places(rows, axis):
        left, middle, right = (float(placed[end].rstrip("%")) for end in ("left", "middle", "right"))
        assert 0 <= left <= middle <= right <= 100


@pytest.mark.parametrize("unknown", [None, inf, nan])
def test_interval_without_an_end_is_not_drawn(unknown):
    rows = [row(900, 1000, unknown), row(900, 950, 1000)]

    placed = with_places(rows, interval_axis(rows))

    assert placed[0]["middle"] is None
    assert placed[1]["middle"] is not None


def test_no_interval_means_no_axis():
    assert interval_axis([]) is None
    assert with_places([row(None, None, None)], None)[0]["left"] is None
