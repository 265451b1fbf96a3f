"""People from a panel: who the address says they are, their codes, and the panel's own messages.

A panel's ids are kept sealed and as digests in a table of their own, apart from the votes, and are
in no export. Prolific: parameters PROLIFIC_PID, STUDY_ID and SESSION_ID, completion by a code, and a
webhook signed with HMAC-SHA256 over timestamp and body (docs.prolific.com, "Verifying").
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Annotator, Campaign, PanelEvent, PanelIdentity
from annotation.services import standing
from annotation.services.progress import own_progress
from arena.errors import BadInput, NotAllowed, NotFound
from arena.models import Voter
from arena.sealing import seal, unseal
from arena.services import audit

PROLIFIC = {
    "participant": "PROLIFIC_PID",
    "study": "STUDY_ID",
    "session": "SESSION_ID",
    "return_url": "https://app.prolific.com/submissions/complete?cc={code}",
}
PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
LONGEST_ID = 200
IN_RETURN_URL = {"code", "participant", "study", "session"}
CLOCKS_APART = 300  # seconds that the panel's clock and ours may differ
LONGEST_BODY = 64 * 1024
# The submission is over without pay: what the participant held and judged goes back to the queue.
GAVE_BACK = {"RETURNED", "TIMED-OUT", "REJECTED"}


@dataclass(frozen=True)
class Participant:
    """Who the panel says is there."""

    participant: str
    study: str = ""
    session: str = ""


def checked_settings(panel: str, given: Any) -> dict[str, str]:
    """The parameters' names and the address to return to. Raises BadInput."""
    if panel == Campaign.Panel.PROLIFIC:
        return dict(PROLIFIC)
    if panel != Campaign.Panel.GENERIC:
        return {}
    if not isinstance(given, Mapping) or set(given) - set(PROLIFIC):
        raise BadInput(_("A panel is set by participant, study, session and return_url."))
    names = {name: str(given.get(name) or "").strip() for name in PROLIFIC}
    if not names["participant"]:
        raise BadInput(_("Say which parameter of the address holds the participant's id."))
    for name in ("participant", "study", "session"):
        if names[name] and not PARAMETER.fullmatch(names[name]):
            raise BadInput(_("%s is no name of a parameter: use letters, digits, _ and -.") % names[name])
    if names["return_url"]:
        _check_return_url(names["return_url"])
    return names


def participant_in(campaign: Campaign, parameters: Mapping[str, str]) -> Participant | None:
    """The participant that an address names; None where the campaign has no panel.

    Raises BadInput where the panel's parameters are missing or too long.
    """
    if not campaign.panel:
        return None
    names = campaign.panel_settings
    found = {
        part: parameters.get(names.get(part) or "", "").strip()
        for part in ("participant", "study", "session")
    }
    # Placeholders that the panel did not fill in: the link was opened without it.
    if not found["participant"] or found["participant"].startswith(("{{", "%7B%7B")):
        raise BadInput(
            _("This link is opened from the panel: the address lacks %s. Go back and start there.")
            % names["participant"]
        )
    if any(len(value) > LONGEST_ID or not value.isprintable() for value in found.values()):
        raise BadInput(_("The panel's ids in this address cannot be read. Go back and start there."))
    return Participant(**found)


def campaign_of_link(*, slug: str, token: str) -> Campaign:
    """The campaign whose open link this is. Raises NotFound, in the same words whatever is wrong."""
    campaign = Campaign.objects.select_related("arena").filter(slug=slug).first()
    if campaign is None or not campaign.open_link or not hmac.compare_digest(campaign.token, token):
        raise NotFound(_("This link leads nowhere. Ask whoever sent it for a new one."))
    return campaign


def join(*, campaign: Campaign, voter: Voter) -> Annotator:
    """Take part through the open link, as somebody of one's own."""
    annotator, _made = Annotator.objects.get_or_create(campaign=campaign, voter=voter)
    return annotator


def join_from_panel(*, campaign: Campaign, participant: Participant) -> Annotator:
    """The participant's part in the campaign: the same one, whatever browser they come with."""
    known = _identity(campaign, participant)
    if known is None:
        try:
            known = _make_identity(campaign, participant)
        except IntegrityError:
            known = _identity(campaign, participant)  # two requests at once: the other one made it
            if known is None:
                raise
    session = digest(campaign, participant.session)
    if participant.session and known.session_digest != session:
        known.session_digest, known.sealed = session, _sealed(participant)
        known.save(update_fields=["session_digest", "sealed"])
    return known.annotator


def code_for(annotator: Annotator, kind: str) -> str:
    """The code that ends this annotator's part, by why there is no next battle; "" where there is none."""
    if kind == "screened_out":
        return annotator.campaign.code_screened_out
    done = kind in ("enough", "nothing_left", "finished", "closed")
    return annotator.campaign.code_complete if done and own_progress(annotator).judged else ""


def return_address(annotator: Annotator, code: str) -> str:
    """Where the panel takes the participant back; "" where there is nowhere."""
    template = annotator.campaign.panel_settings.get("return_url", "")
    identity = PanelIdentity.objects.filter(annotator=annotator).first()
    if not template or not code or identity is None:
        return ""
    values = {"code": code, **json.loads(unseal(identity.sealed))}
    return str(template).format(**{name: quote(str(value), safe="") for name, value in values.items()})


def new_secret(*, campaign: Campaign, secret: str = "", by: User | None = None) -> str:
    """Set the secret of the panel's webhook: the panel's own, or one made here. Shown this once."""
    secret = secret.strip() or secrets.token_urlsafe(32)
    campaign.sealed_secret = seal(secret)
    campaign.save(update_fields=["sealed_secret"])
    audit.record(action="panel secret set", target=campaign, actor=by, details={"campaign": campaign.slug})
    return secret


def receive(
    *, campaign: Campaign, body: bytes, timestamp: str, signature: str, event: str = ""
) -> PanelEvent:
    """Take in a message of the panel: once, if it is signed and not old.

    Raises NotAllowed for a wrong signature or clock, BadInput for a body that cannot be read. A
    message that was taken in before changes nothing.
    """
    _check_signature(campaign, body, timestamp, signature)
    data = _message(body)
    status = str(data.get("status", "")).upper().replace("_", "-").replace(" ", "-")[:30]
    name = (event or hashlib.sha256(timestamp.encode() + body).hexdigest())[:100]
    try:
        with transaction.atomic():
            taken = PanelEvent.objects.create(
                campaign=campaign, event=name, kind=str(data.get("event_type", ""))[:60], status=status
            )
            taken.outcome = _act(campaign, data, status)[:200]
            taken.save(update_fields=["outcome"])
    except IntegrityError:
        return PanelEvent.objects.get(campaign=campaign, event=name)
    return taken


def digest(campaign: Campaign, value: str) -> str:
    """A panel's id as it is looked up: nobody without the installation's key can tell whose it is."""
    text = f"{campaign.pk}:{value}".encode()
    return hmac.new(settings.SECRET_KEY.encode(), text, hashlib.sha256).hexdigest()


def _identity(campaign: Campaign, participant: Participant) -> PanelIdentity | None:
    known = PanelIdentity.objects.filter(
        campaign=campaign, participant_digest=digest(campaign, participant.participant)
    )
    return known.select_related("annotator__campaign__arena", "annotator__voter").first()


@transaction.atomic
def _make_identity(campaign: Campaign, participant: Participant) -> PanelIdentity:
    return PanelIdentity.objects.create(
        annotator=Annotator.objects.create(campaign=campaign, voter=Voter.objects.create()),
        campaign=campaign,
        participant_digest=digest(campaign, participant.participant),
        session_digest=digest(campaign, participant.session) if participant.session else "",
        sealed=_sealed(participant),
    )


def _sealed(participant: Participant) -> str:
    return seal(json.dumps(participant.__dict__))


def _check_return_url(template: str) -> None:
    parts = urlsplit(template)
    if parts.scheme != "https" or not parts.hostname:
        raise BadInput(_("The address to return to begins with https://."))
    if "{" in parts.netloc:
        raise BadInput(_("The address to return to has its parameters after the host."))
    try:
        named = {name for _text, name, spec, conversion in Formatter().parse(template) if name is not None}
    except ValueError:
        raise BadInput(_("The address to return to has a { or } too many.")) from None
    if unknown := named - IN_RETURN_URL:
        raise BadInput(
            _("The address to return to knows {code}, {participant}, {study} and {session}, not {%s}.")
            % sorted(unknown)[0]
        )


def _check_signature(campaign: Campaign, body: bytes, timestamp: str, signature: str) -> None:
    refused = NotAllowed(_("The signature does not fit. Check the secret on the campaign's page."))
    if not campaign.sealed_secret or len(body) > LONGEST_BODY:
        raise refused
    key = unseal(campaign.sealed_secret).encode()
    expected = base64.b64encode(hmac.new(key, timestamp.encode() + body, hashlib.sha256).digest())
    if not hmac.compare_digest(expected, signature.encode()):
        raise refused
    if not timestamp.isdigit() or len(timestamp) > 12:
        raise NotAllowed(_("The timestamp is not a number of seconds."))
    if abs(timezone.now().timestamp() - int(timestamp)) > CLOCKS_APART:
        raise NotAllowed(_("The message is more than five minutes old, or the clocks differ."))


def _message(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        raise BadInput(_("The body is not valid JSON.")) from None
    if not isinstance(data, dict):
        raise BadInput(_("The body is not a JSON object."))
    return data


def _act(campaign: Campaign, data: Mapping[str, Any], status: str) -> str:
    """Do what the message asks for; what was done, in words."""
    annotator = _named(campaign, data)
    if annotator is None:
        return "nobody of this campaign"
    if status not in GAVE_BACK:
        return "noted"
    ruled_out = standing.leave(annotator=annotator, reason=f"The panel says: {status.lower()}.")
    return f"annotator {annotator.pk}: {ruled_out} votes out, places given back"


def _named(campaign: Campaign, data: Mapping[str, Any]) -> Annotator | None:
    """By the submission, else by the participant: a participant may have several submissions."""
    known = PanelIdentity.objects.filter(campaign=campaign).select_related("annotator__campaign__arena")
    session, participant = str(data.get("resource_id") or ""), str(data.get("participant_id") or "")
    found = known.filter(session_digest=digest(campaign, session)).first() if session else None
    if found is None and participant:
        found = known.filter(participant_digest=digest(campaign, participant)).first()
    return None if found is None else found.annotator
