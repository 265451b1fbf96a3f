"""What lies behind the ratings: how sure they are, how much hangs on what, and how else they are counted."""

from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from arena.errors import BadInput
from arena.models import Arena, Leaderboard
from arena.services import analyses
from arena.services.analyses.comparing import rated
from arena.services.leaderboards import current_leaderboard
from arena.views import behind_words as words
from arena.views.entry import PageRequest, arena_page, enter

# A wider table of certainties is read by comparing two.
WIDEST_MATRIX = 12


@never_cache
@require_GET
def behind(request: PageRequest, slug: str) -> HttpResponse:
    """The newest analysis. While the next is computed the page asks for its fragment; 204: nothing new."""
    arena = enter(request, slug)
    board = current_leaderboard(arena)
    analysed = analyses.analysis_for(board)
    if request.htmx and request.GET.get("seen") == words.state_of(analysed):
        return HttpResponse(status=204)
    context = {
        **arena_page(request, arena, "leaderboard"),
        **_parts(arena, board, analysed),
        **_compared(request, board, analysed),
    }
    return render(request, "arena/_behind.html" if request.htmx else "arena/behind.html", context)


@never_cache
@require_GET
def behind_json(request: PageRequest, slug: str) -> JsonResponse:
    analysed = analyses.analysis_for(current_leaderboard(enter(request, slug)))
    return JsonResponse(analyses.analysis_data(analysed), json_dumps_params={"indent": 1, "allow_nan": False})


def _parts(arena: Arena, board: Leaderboard, analysed: analyses.Analysed) -> dict[str, Any]:
    results = analysed.results
    return {
        "board": board,
        "analysed": analysed,
        "state": words.state_of(analysed),
        "votes_since": words.votes_since(arena, board, analysed),
        "outlook": words.outlook(results.get("outlook")),
        "outlook_without": words.left_out(results.get("outlook")),
        "missing": {name: words.missing(part) for name, part in results.items()},
        "fragility": results.get("fragility"),
        "style": results.get("style"),
        "effects": words.effects(results.get("style")),
        "raters": results.get("raters"),
        "others": words.other_boards(board, results),
        "tags": results.get("tags"),
        "circles": results.get("circles"),
        "matrix": _matrix(board),
        "method": words.method(board),
        "level": round(100 * board.settings.get("level", 0.95)),
    }


def _matrix(board: Leaderboard) -> list[dict[str, Any]] | None:
    """Best first: who, and how sure it is that it is stronger than each other one."""
    contestants = rated(board)
    if not 2 <= len(contestants) <= WIDEST_MATRIX:
        return None
    certain = analyses.certainty(board)
    places = {one["id"]: place for place, one in enumerate(contestants)}
    order = [places[row["contestant"]] for row in board.rows if not row["new"]]
    return [
        {
            "model": contestants[i]["name"],
            "cells": [None if i == j else words.percent(certain[i, j]) for j in order],
        }
        for i in order
    ]


def _compared(request: PageRequest, board: Leaderboard, analysed: analyses.Analysed) -> dict[str, Any]:
    choices = [{"id": one["id"], "name": one["name"]} for one in rated(board)]
    first, second = request.GET.get("a", ""), request.GET.get("b", "")
    context: dict[str, Any] = {"choices": choices, "first": first, "second": second}
    if not first and not second:
        return context
    try:
        if not (first.isdecimal() and second.isdecimal()):
            raise BadInput(words.choose_two())
        found = analyses.compare(board, analysed.results, int(first), int(second))
    except BadInput as error:
        return {**context, "wrong": str(error)}
    return {**context, "comparison": words.comparison(found)}
