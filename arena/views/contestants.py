from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from arena.services import overview
from arena.services.leaderboards import current_leaderboard
from arena.services.lineage import withdrawn_since
from arena.services.voters import known_voter
from arena.views.entry import arena_page, enter
from arena.views.outputs import shown_response


@never_cache
@require_GET
def contestant(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One contestant: where it comes from, its rating, and responses that this reader may know as its own."""
    arena = enter(request, slug)
    one = overview.get_contestant(arena=arena, pk=pk)
    board = current_leaderboard(arena)
    responses = overview.shown_responses(contestant=one, user=request.user, voter=known_voter(request))
    context = {
        **arena_page(request, arena, "leaderboard"),
        "contestant": one,
        "lineage": overview.lineage(one),
        "withdrawn": withdrawn_since(one),
        "children": one.children.all(),
        "row": next((row for row in board.rows if row["contestant"] == one.pk), None),
        "responses": [
            {"prompt": response.prompt.text, "html": shown_response(response)} for response in responses
        ],
    }
    return render(request, "arena/contestant.html", context)
