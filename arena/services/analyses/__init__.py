"""What a leaderboard cannot tell at once: how many votes are missing, how much hangs on few of them.

`asking.py` gives the newest analysis and has a new one made in a job; `sections.py` computes it;
`style.py` measures responses. An analysis belongs to one moment of the log and keeps what it was given.
"""

from arena.services.analyses.asking import Analysed, analysis_data, analysis_for, compute, run_job
from arena.services.analyses.comparing import Comparison, certainty, compare

__all__ = [
    "Analysed",
    "Comparison",
    "analysis_data",
    "analysis_for",
    "certainty",
    "compare",
    "compute",
    "run_job",
]
