from arena.models.analyses import Analysis
from arena.models.arenas import Arena, Membership
from arena.models.asking import Draft, GuidelineVersion, Report, Survey, SurveyAnswer
from arena.models.audit import AuditEntry
from arena.models.battles import Battle, Slot, Voter
from arena.models.contestants import Contestant
from arena.models.conversations import Conversation, Turn
from arena.models.data_sets import DataSet
from arena.models.invitations import Invitation
from arena.models.jobs import Canary, Job
from arena.models.judges import Judge
from arena.models.leaderboards import Leaderboard
from arena.models.preferences import Preference
from arena.models.prompts import Prompt
from arena.models.responses import Response
from arena.models.standing import VoterRuling
from arena.models.training import TrainingMetric, TrainingRun
from arena.models.votes import Vote, VoteRuling
from arena.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "Analysis",
    "Arena",
    "AuditEntry",
    "Battle",
    "Canary",
    "Contestant",
    "Conversation",
    "DataSet",
    "Draft",
    "GuidelineVersion",
    "Invitation",
    "Job",
    "Judge",
    "Leaderboard",
    "Membership",
    "Preference",
    "Prompt",
    "Report",
    "Response",
    "Slot",
    "Survey",
    "SurveyAnswer",
    "TrainingMetric",
    "TrainingRun",
    "Turn",
    "Vote",
    "VoteRuling",
    "Voter",
    "VoterRuling",
    "Webhook",
    "WebhookDelivery",
]
