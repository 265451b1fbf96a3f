"""What the voting page's scripts say, in the reader's language. %(name)s are filled in by them."""

import json

from django.utils.translation import gettext as _


def words() -> str:
    """A JSON object for a data attribute."""
    return json.dumps(
        {
            "ranked": _("%(letter)s has rank %(rank)s."),
            "left": _("Still without a rank: %(letters)s."),
            "all_ranked": _("All are ranked. Enter submits."),
            "unranked": _("%(letter)s has no rank now."),
            "moved": _("%(letter)s moved to %(place)s of %(k)s."),
            "tied": _("%(letter)s is tied with %(other)s at %(place)s of %(k)s."),
            "up": _("Move %(letter)s up"),
            "down": _("Move %(letter)s down"),
            "tie": _("Tie %(letter)s with its neighbour"),
            "better": _("%(letter)s before %(other)s"),
            "worse": _("%(letter)s after %(other)s"),
            "equal": _("%(letter)s tied with %(other)s"),
            "one_missing": _("Give every response a rank: %(letters)s has none yet. Equal ranks are ties."),
            "some_missing": _("Give every response a rank: %(letters)s have none yet. Equal ranks are ties."),
            "refused": _(
                "The server could not take the vote (%(status)s). Your answer is still here: "
                "submit it again, or open this page in a new tab."
            ),
            "offline_vote": _(
                "The vote did not reach the server. Your answer is still here and is sent "
                "by itself when the connection is back."
            ),
            "saved": _("Saved"),
            "saving": _("Saving…"),
            "kept": _("Offline: kept on this device"),
            "not_saved": _("Not saved"),
            "back": _("Connected again. Sending your vote."),
            "new_battle": _("New battle with %(k)s responses."),
            "good": _("Good"),
            "bad": _("Bad"),
            "remove": _("Remove the mark"),
            "marked": _("Marked as %(label)s: %(quote)s"),
            "nothing_marked": _("Select a passage of the response first."),
            "key_taken": _("This key is used for “%(action)s” already."),
            "key_single": _("Press one key: a letter, a sign or a named key."),
            "key_set": _("The key for “%(action)s” is now %(key)s."),
            "reported": _("Thank you. The report was sent."),
        },
        ensure_ascii=False,
    )
