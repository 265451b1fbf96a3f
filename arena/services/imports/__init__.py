"""Files that users bring become prompts, responses and votes: all of a file, or nothing of it.

`vote_rows.py` and `conversations.py` read the forms that votes come in; `vote_writing.py`
writes them in bulk.
"""

from arena.services.imports.prompts import import_prompts
from arena.services.imports.report import ImportReport
from arena.services.imports.responses import import_responses
from arena.services.imports.votes import import_votes

__all__ = ["ImportReport", "import_prompts", "import_responses", "import_votes"]
