from annotation.models.campaigns import Annotator, AnnotatorRuling, Assignment, Campaign, Item
from annotation.models.panels import PanelEvent, PanelIdentity

__all__ = [
    "Annotator",
    "AnnotatorRuling",
    "Assignment",
    "Campaign",
    "Item",
    "PanelEvent",
    "PanelIdentity",
]
