from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from arena.models import Arena, Leaderboard
from arena.services import analyses, overview
from arena.services.criterion_boards import boards_by_criterion, criterion_board
from arena.services.leaderboards import current_leaderboard, leaderboard_csv, leaderboard_data, sources_in
from arena.views import behind_words as words
from arena.views.entry import PageRequest, arena_page, enter
from arena.views.plots import interval_axis, with_places


@never_cache
@require_GET
def leaderboard(request: PageRequest, slug: str) -> HttpResponse:
    """The ratings now. The page asks for its fragment again and again; 204 says that it has the newest."""
    arena = enter(request, slug)
    if request.GET.get("criterion"):
        return _by_criterion(request, arena, request.GET["criterion"])
    board = current_leaderboard(arena)
    if request.htmx:
        if request.GET.get("seen") == str(board.pk):
            return HttpResponse(status=204)
        return render(request, "arena/_leaderboard.html", {"arena": arena, **board_context(arena, board)})
    analysed = analyses.analysis_for(board)
    context = {
        **arena_page(request, arena, "leaderboard"),
        **board_context(arena, board),
        "analysed": analysed,
        "outlook": words.outlook(analysed.results.get("outlook")),
        "criteria": boards_by_criterion(arena),
    }
    return render(request, "arena/leaderboard.html", context)


def _by_criterion(request: PageRequest, arena: Arena, key: str) -> HttpResponse:
    """The ratings by one criterion, or by all of them weighted."""
    board = criterion_board(arena, key)
    if request.htmx:
        return HttpResponse(status=204)
    context = {
        **arena_page(request, arena, "leaderboard"),
        **board_context(arena, board),
        "criteria": boards_by_criterion(arena),
        "criterion": key,
    }
    return render(request, "arena/leaderboard.html", context)


def _asked_board(request: PageRequest, slug: str) -> Leaderboard:
    """The board that the address asks for: by criterion, or of other kinds of voters."""
    arena = enter(request, slug)
    if request.GET.get("criterion"):
        return criterion_board(arena, request.GET["criterion"])
    return current_leaderboard(arena, sources_in(request.GET.get("sources", "")))


@never_cache
@require_GET
def leaderboard_json(request: PageRequest, slug: str) -> HttpResponse:
    board = _asked_board(request, slug)
    return JsonResponse(leaderboard_data(board), json_dumps_params={"indent": 1, "allow_nan": False})


@never_cache
@require_GET
def leaderboard_csv_file(request: PageRequest, slug: str) -> HttpResponse:
    board = _asked_board(request, slug)
    response = HttpResponse(leaderboard_csv(board), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-leaderboard.csv"'
    return response


def board_context(arena: Arena, board: Leaderboard) -> dict[str, Any]:
    axis = interval_axis(board.rows)
    parents = overview.parents(arena)
    rows = [{**row, "parent": parents.get(row["contestant"])} for row in with_places(board.rows, axis)]
    return {
        "board": board,
        "rows": rows,
        "axis": axis,
        "method": words.method_name(board),
        "warnings": board.fit.get("warnings", []),
        "level": round(100 * board.settings.get("level", 0.95)),
    }
