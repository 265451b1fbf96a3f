"""Members and invitations: the rules, and the pages they are used through."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from arena.errors import BadInput, NotAllowed, NotFound
from arena.models import Arena, AuditEntry, Invitation, Membership
from arena.services import access, invitations, members
from tests import factories

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def olga(closed_arena, grace, ada):
    """She owns the closed arena, which Grace leads and Ada annotates."""
    user = factories.make_user("olga", email="olga@example.org")
    factories.make_member(closed_arena, user, "owner")
    return user


def role(arena, user):
    return access.role_of(arena=arena, user=user)


def membership(arena, user):
    return Membership.objects.get(arena=arena, user=user)


def token_of(link):
    return link.rstrip("/").rpartition("/")[2]


# Roles


def test_the_table_of_rights_in_the_documentation_is_the_one_in_the_code():
    names = [name for _key, name in access.who()]
    lines = [f"| right | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for sentence, shares in access.table_of_rights():
        lines.append(f"| {sentence} | {' | '.join('yes' if may else 'no' for _name, may in shares)} |")

    assert "\n".join(lines) in (DOCS / "roles.md").read_text(), "\n".join(lines)


def test_the_page_of_rules_says_what_the_table_says(client):
    page = client.get("/roles/").content.decode()

    for sentence, _shares in access.table_of_rights():
        assert sentence.replace("'", "&#x27;") in page


# Members


def test_a_lead_adds_an_annotator_by_name(sign_in, grace, closed_arena, mallory):
    answer = sign_in(grace).post(
        "/arenas/cellar/manage/members/add/", {"username": "mallory", "role": "annotator"}
    )

    assert answer.status_code == 302
    assert role(closed_arena, mallory) == "annotator"
    entry = AuditEntry.objects.get(action="member added")
    assert (entry.actor, entry.details["user"]) == (grace, "mallory")


def test_a_member_is_found_by_e_mail_address_too(olga, closed_arena):
    other = factories.make_user("nina", email="nina@example.org")

    members.add_member(arena=closed_arena, username="NINA@example.org", role="viewer", by=olga)

    assert role(closed_arena, other) == "viewer"


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"username": "nobody", "role": "annotator"}, "There is no user"),
        ({"username": "ada", "role": "annotator"}, "belongs to this arena already"),
        ({"username": "mallory", "role": "king"}, "Choose one of the roles"),
        ({"username": "mallory", "role": "owner"}, "Only an owner"),
    ],
)
def test_what_cannot_be_added_is_said_and_the_form_stays_filled(
    sign_in, grace, ada, mallory, closed_arena, form, sentence
):
    answer = sign_in(grace).post("/arenas/cellar/manage/members/add/", form)

    page = answer.content.decode()
    assert answer.status_code in (400, 403)
    assert sentence in page
    assert f'value="{form["username"]}"' in page
    assert role(closed_arena, mallory) is None


def test_a_lead_can_neither_make_leads_nor_unmake_owners(olga, grace, ada, closed_arena):
    for act in (
        lambda: members.change_role(member=membership(closed_arena, ada), role="lead", by=grace),
        lambda: members.change_role(member=membership(closed_arena, olga), role="viewer", by=grace),
        lambda: members.remove_member(member=membership(closed_arena, olga), by=grace),
    ):
        with pytest.raises(NotAllowed, match="Only an owner"):
            act()
    assert (role(closed_arena, ada), role(closed_arena, olga)) == ("annotator", "owner")


def test_the_last_owner_stays(olga, closed_arena):
    mine = membership(closed_arena, olga)
    for act in (
        lambda: members.change_role(member=mine, role="lead", by=olga),
        lambda: members.remove_member(member=mine, by=olga),
    ):
        with pytest.raises(BadInput, match="this is the last one"):
            act()

    members.change_role(
        member=members.add_member(
            arena=closed_arena, username=factories.make_user().username, role="viewer", by=olga
        ),
        role="owner",
        by=olga,
    )
    members.remove_member(member=mine, by=olga)
    assert role(closed_arena, olga) is None


def test_pages_change_and_remove(sign_in, olga, ada, closed_arena):
    browser = sign_in(olga)
    pk = membership(closed_arena, ada).pk

    browser.post(f"/arenas/cellar/manage/members/{pk}/role/", {"role": "viewer"})
    assert role(closed_arena, ada) == "viewer"
    browser.post(f"/arenas/cellar/manage/members/{pk}/remove/")
    assert role(closed_arena, ada) is None
    assert browser.post(f"/arenas/cellar/manage/members/{pk}/remove/").status_code == 404  # twice
    assert browser.get(f"/arenas/cellar/manage/members/{pk}/remove/").status_code == 405


def test_the_members_page_needs_a_bounded_number_of_queries(
    sign_in, grace, closed_arena, django_assert_max_num_queries
):
    for _ in range(20):
        factories.make_member(closed_arena, factories.make_user())
    browser = sign_in(grace)

    with django_assert_max_num_queries(12):
        assert browser.get("/arenas/cellar/manage/members/").status_code == 200


# Invitations


def test_a_link_makes_members_until_it_is_used_up(grace, mallory, closed_arena):
    _invitation, link = invitations.invite(arena=closed_arena, role="annotator", by=grace, max_uses=2)
    token = token_of(link)

    invitations.accept(token=token, user=mallory)
    invitations.accept(token=token, user=mallory)  # twice: one use
    invitations.accept(token=token, user=factories.make_user())

    assert Invitation.objects.get().uses == 2
    with pytest.raises(NotFound, match="not valid any more"):
        invitations.accept(token=token, user=factories.make_user())
    assert membership(closed_arena, mallory).invitation == Invitation.objects.get()


def test_the_links_secret_is_not_in_the_database(grace, closed_arena):
    invitation, link = invitations.invite(arena=closed_arena, role="annotator", by=grace)

    kept = str(list(Invitation.objects.values())) + str(list(AuditEntry.objects.values()))
    assert token_of(link) not in kept
    assert len(token_of(link)) >= 40
    assert invitation.token_sha256 != token_of(link)


@pytest.mark.parametrize(
    "change", [{"expires_at": timezone.now() - timedelta(days=1)}, {"revoked_at": timezone.now()}]
)
def test_an_expired_or_revoked_link_lets_nobody_in(grace, mallory, closed_arena, change):
    _invitation, link = invitations.invite(arena=closed_arena, role="annotator", by=grace)
    Invitation.objects.update(**change)

    with pytest.raises(NotFound):
        invitations.accept(token=token_of(link), user=mallory)
    assert role(closed_arena, mallory) is None


def test_an_invitation_never_makes_anybody_less(olga, closed_arena):
    _invitation, link = invitations.invite(arena=closed_arena, role="viewer", by=olga)

    invitations.accept(token=token_of(link), user=olga)

    assert role(closed_arena, olga) == "owner"
    assert Invitation.objects.get().uses == 0


def test_an_invitation_by_e_mail_is_sent_and_works_once(sign_in, grace, mallory, closed_arena):
    answer = sign_in(grace).post(
        "/arenas/cellar/manage/invitations/",
        {"invite-role": "annotator", "invite-email": "new@example.org", "invite-max_uses": "50"},
    )

    assert answer.status_code == 201
    message = mail.outbox[0]
    assert message.to == ["new@example.org"]
    link = next(line for line in message.body.splitlines() if line.startswith("http"))
    assert link in answer.content.decode()
    assert Invitation.objects.get().max_uses == 1
    invitations.accept(token=token_of(link), user=mallory)
    assert role(closed_arena, mallory) == "annotator"


def test_where_the_mail_cannot_be_sent_nothing_is_kept(grace, closed_arena, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there

    with pytest.raises(BadInput, match="could not be sent"):
        invitations.invite(arena=closed_arena, role="viewer", by=grace, email="new@example.org")

    assert not Invitation.objects.exists()


def test_a_lead_cannot_invite_an_owner(grace, closed_arena):
    with pytest.raises(NotAllowed):
        invitations.invite(arena=closed_arena, role="owner", by=grace)


def test_bad_invitations_are_refused_with_the_form_kept(sign_in, grace, closed_arena):
    form = {"invite-role": "annotator", "invite-note": "panel of May", "invite-last_day": "2001-01-01"}
    answer = sign_in(grace).post("/arenas/cellar/manage/invitations/", form)

    assert answer.status_code == 400
    assert "would end in the past" in answer.content.decode()
    assert "panel of May" in answer.content.decode()


@pytest.mark.parametrize("language", ["en", "de", "zh-hans"])
def test_the_suggested_last_day_is_one_that_browsers_read(sign_in, grace, closed_arena, language):
    page = sign_in(grace).get("/arenas/cellar/manage/members/", headers={"accept-language": language})

    # Anything but ISO is no date to a browser, and the invitation would never end.
    day = timezone.localdate() + timedelta(days=14)
    assert f'name="invite-last_day" value="{day.isoformat()}"' in page.content.decode()


def test_who_holds_a_link_makes_an_account_although_sign_up_is_closed(grace, closed_arena, client):
    assert "No sign-up here" in client.get("/accounts/signup/").content.decode()
    _invitation, link = invitations.invite(arena=closed_arena, role="annotator", by=grace)
    path = f"/invitations/{token_of(link)}/"

    page = client.get(path).content.decode()
    assert "Make an account" in page
    assert closed_arena.name in page
    answer = client.post(
        f"/accounts/signup/?next={path}",
        {
            "username": "newcomer",
            "email": "",
            "password1": "open sesame 7",
            "password2": "open sesame 7",
            "next": path,
        },
    )
    assert answer["Location"] == path, answer.content.decode()
    assert "Join as newcomer" in client.get(path).content.decode()
    client.post(path)

    assert Membership.objects.get(user__username="newcomer").role == "annotator"
    assert client.get("/arenas/cellar/").status_code == 200
    other = Client()
    assert "No sign-up here" in other.get("/accounts/signup/").content.decode()


# Making an arena


FORM = {
    "slug": "attic",
    "name": "Attic",
    "description": "",
    "modality": "text",
    "k": "3",
    "access": "closed",
    "reveal": "never",
    "strategy": "uniform",
    "turns": "1",
}


def test_who_makes_an_arena_owns_it(sign_in, staff):
    answer = sign_in(staff).post("/new-arena/", FORM)

    assert answer["Location"] == "/arenas/attic/manage/"
    arena = Arena.objects.get(slug="attic")
    assert (arena.k, arena.access, arena.reveal) == (3, "closed", "never")
    assert role(arena, staff) == "owner"


def test_an_arena_of_a_taken_name_is_refused_with_the_form_kept(sign_in, staff, open_arena):
    answer = sign_in(staff).post("/new-arena/", {**FORM, "slug": "garden", "name": "My garden"})

    assert answer.status_code == 400
    assert "My garden" in answer.content.decode()
    assert not Arena.objects.filter(name="My garden").exists()


def test_an_owner_changes_the_settings_but_not_the_address(sign_in, olga, closed_arena):
    answer = sign_in(olga).post("/arenas/cellar/manage/settings/", {**FORM, "slug": "moved", "k": "5"})

    closed_arena.refresh_from_db()
    assert answer.status_code == 302
    assert (closed_arena.slug, closed_arena.k, closed_arena.reveal) == ("cellar", 5, "never")
    assert AuditEntry.objects.get(action="arena changed").details["k"] == [4, 5]
