"""Data sets: immutable, numbered exports of the votes, with a card and checksums.

`votes.py` reads the votes as K-wise rows, the canonical record; `views.py` and `lmarena.py`
turn a row into other formats; `writing.py` writes the files; `card.py` describes them.
"""

from arena.services.data_sets.formats import FORMATS
from arena.services.data_sets.requests import DEFAULT_FORMATS, request_data_set
from arena.services.data_sets.writing import data_set_folder, verify_data_set, write_data_set

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "data_set_folder",
    "request_data_set",
    "verify_data_set",
    "write_data_set",
]
