"""Sentences stored in English, told in the reader's language: titles of jobs, warnings, reasons.

They are stored as they were made, because who reads them and in which language is not known then.
Here they are recognised by their pattern; one that is not known stays as it is.
"""

import re
from functools import cache

from django.utils.translation import gettext, gettext_noop

SENTENCES = (
    # Titles of jobs.
    gettext_noop("Responses of %(name)s"),
    gettext_noop("Train %(name)s from %(base)s"),
    gettext_noop("Export data set %(number)s"),
    gettext_noop("Build the demo's models"),
    gettext_noop("Analyse the leaderboard"),
    gettext_noop("An answer in a conversation"),
    gettext_noop("Judging by %(name)s"),
    gettext_noop("Check %(name)s"),
    gettext_noop("Choose data set %(number)s of data set %(of)s"),
    # What a job is doing.
    gettext_noop("Started"),
    gettext_noop("Done"),
    gettext_noop("Failed"),
    gettext_noop("Cancelled"),
    gettext_noop("Cancelling …"),
    gettext_noop("Queued again"),
    gettext_noop("Given up"),
    gettext_noop("Its worker was stopped; queued again"),
    gettext_noop("Its worker went away; queued again"),
    gettext_noop("Waits while others make their first responses"),
    gettext_noop("Waits while somebody is answered"),
    gettext_noop("Opening %(name)s"),
    gettext_noop("%(name)s competes"),
    gettext_noop("%(done)s of %(total)s votes"),
    gettext_noop("%(count)s responses, %(rate)s tokens a second"),
    gettext_noop("%(count)s responses, %(rate)s tokens a second, %(failed)s failed"),
    gettext_noop("Training: step %(done)s of %(total)s, loss %(loss)s"),
    gettext_noop("Training on %(count)s rankings"),
    gettext_noop("Scoring under the base: part %(done)s of %(total)s"),
    gettext_noop("Learning the best responses, step %(done)s of %(total)s"),
    gettext_noop("Step %(done)s of %(total)s, loss %(loss)s"),
    gettext_noop("%(count)s judged, %(abstained)s abstained"),
    gettext_noop("It ended its worker, or stopped answering, at each try. See the log, then try again."),
    # What trying a contestant out found (gpu_workers/backends/contract.py).
    gettext_noop("It can be opened"),
    gettext_noop("It answers"),
    gettext_noop("It says what makes its texts"),
    gettext_noop("It says what it can"),
    gettext_noop("Each of six requests is answered once"),
    gettext_noop("None of the six fails"),
    gettext_noop("The same seed gives the same output"),
    gettext_noop("The same seed gives another output"),
    gettext_noop("Other seeds give other outputs"),
    gettext_noop("Other seeds give the same output"),
    gettext_noop("It counts tokens"),
    gettext_noop("It can be stopped early and goes on"),
    gettext_noop("It thinks aloud"),
    # Why an annotator was ruled on (annotation/services/thresholds.py).
    gettext_noop("%(right)s of %(of)s gold questions were answered as expected."),
    gettext_noop("%(failed)s of %(of)s instructions were not followed."),
    gettext_noop("Battles shown twice were answered alike in %(percent)s %% of their pairs."),
    gettext_noop("Half of the last %(of)s answers took less than %(median)s seconds."),
    gettext_noop("Response %(slot)s was put first %(times)s times of %(of)s, whatever it was."),
    gettext_noop("%(skipped)s of %(of)s battles were skipped."),
    gettext_noop("Excluded from the campaign: %(reason)s"),
    gettext_noop("Taken back into the campaign: %(reason)s"),
    gettext_noop("Left the campaign: %(reason)s"),
    gettext_noop("The panel says: %(status)s."),
    # What a leaderboard warns of (ranking/fitting.py, ranking/connectivity.py).
    gettext_noop("There are no votes yet: every rating is the prior's."),
    gettext_noop("%(names)s has no votes yet: its rating is the prior's."),
    gettext_noop("%(names)s have no votes yet: their ratings are the prior's."),
    gettext_noop(
        "%(names)s has never lost: its rating is finite only because of the prior, and its interval is wide."
    ),
    gettext_noop(
        "%(names)s have never lost: their ratings are finite only because of the prior, and their "
        "intervals are wide."
    ),
    gettext_noop(
        "%(names)s has never won: its rating is finite only because of the prior, and its interval is wide."
    ),
    gettext_noop(
        "%(names)s have never won: their ratings are finite only because of the prior, and their "
        "intervals are wide."
    ),
    gettext_noop("No votes connect these groups, so ratings cannot be compared between them: %(groups)s."),
    gettext_noop(
        "Between these groups one side has won every vote, so the distance is the prior's: %(groups)s."
    ),
    gettext_noop("%(count)s vote says that all responses were bad; they order nobody."),
    gettext_noop("%(count)s votes say that all responses were bad; they order nobody."),
    gettext_noop(
        "The votes come from only %(count)s voter: with fewer than %(enough)s the intervals are rough."
    ),
    gettext_noop(
        "The votes come from only %(count)s voters: with fewer than %(enough)s the intervals are rough."
    ),
    gettext_noop(
        "The votes come from only %(count)s prompt: with fewer than %(enough)s the intervals are rough."
    ),
    gettext_noop(
        "The votes come from only %(count)s prompts: with fewer than %(enough)s the intervals are rough."
    ),
    gettext_noop(
        "The votes come from only %(count)s voter or prompt: with fewer than %(enough)s the intervals "
        "are rough."
    ),
    gettext_noop(
        "The votes come from only %(count)s voters or prompts: with fewer than %(enough)s the intervals "
        "are rough."
    ),
    gettext_noop("The fit did not converge; do not rely on these ratings."),
)


def retold(stored: str) -> str:
    """The stored sentence in the language of now, what was filled in left as it is."""
    for sentence in SENTENCES:
        found = _pattern(sentence).fullmatch(stored)
        if found:
            values = {
                name: retold(one) if name == "reason" else one for name, one in found.groupdict().items()
            }
            return gettext(sentence) % values
    return stored


@cache
def _pattern(sentence: str) -> re.Pattern[str]:
    pieces = re.split(r"%\((\w+)\)s", sentence)
    places = [
        f"(?P<{piece}>.+)" if at % 2 else re.escape(piece.replace("%%", "%"))
        for at, piece in enumerate(pieces)
    ]
    return re.compile("".join(places), re.DOTALL)
