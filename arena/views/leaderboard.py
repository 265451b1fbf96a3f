from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from arena.models import Arena, Leaderboard
from arena.services import overview
from arena.services.leaderboards import current_leaderboard, leaderboard_csv, leaderboard_data
from arena.views.entry import PageRequest, arena_page, enter
from arena.views.plots import interval_axis, with_places

METHODS = {
    "bradley-terry": "Bradley–Terry",
    "plackett-luce": "Plackett–Luce",
    "davidson": "Davidson's model of ties, for any number of responses",
    "elo": "Elo",
}


@never_cache
@require_GET
def leaderboard(request: PageRequest, slug: str) -> HttpResponse:
    """The ratings now. The page asks for its fragment again and again; 204 says that it has the newest."""
    arena = enter(request, slug)
    board = current_leaderboard(arena)
    if request.htmx:
        if request.GET.get("seen") == str(board.pk):
            return HttpResponse(status=204)
        return render(request, "arena/_leaderboard.html", {"arena": arena, **board_context(arena, board)})
    context = {**arena_page(request, arena, "leaderboard"), **board_context(arena, board)}
    return render(request, "arena/leaderboard.html", context)


@never_cache
@require_GET
def leaderboard_json(request: PageRequest, slug: str) -> HttpResponse:
    board = current_leaderboard(enter(request, slug))
    return JsonResponse(leaderboard_data(board), json_dumps_params={"indent": 1, "allow_nan": False})


@never_cache
@require_GET
def leaderboard_csv_file(request: PageRequest, slug: str) -> HttpResponse:
    board = current_leaderboard(enter(request, slug))
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
        "method": METHODS.get(board.method, board.method),
        "warnings": board.fit.get("warnings", []),
        "level": round(100 * board.settings.get("level", 0.95)),
    }
