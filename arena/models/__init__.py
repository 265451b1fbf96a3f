from arena.models.arenas import Arena, Membership
from arena.models.audit import AuditEntry
from arena.models.battles import Battle, Slot, Voter
from arena.models.contestants import Contestant
from arena.models.data_sets import DataSet
from arena.models.jobs import Job
from arena.models.leaderboards import Leaderboard
from arena.models.prompts import Prompt
from arena.models.responses import Response
from arena.models.training import TrainingMetric, TrainingRun
from arena.models.votes import Vote, VoteRuling

__all__ = [
    "Arena",
    "AuditEntry",
    "Battle",
    "Contestant",
    "DataSet",
    "Job",
    "Leaderboard",
    "Membership",
    "Prompt",
    "Response",
    "Slot",
    "TrainingMetric",
    "TrainingRun",
    "Vote",
    "VoteRuling",
    "Voter",
]
