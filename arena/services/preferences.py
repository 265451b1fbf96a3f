"""What one user has chosen for themselves."""

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Preference


def checked_language(code: str) -> str:
    """The code, where the interface is there in that language."""
    if code not in dict(settings.LANGUAGES):
        known = ", ".join(code for code, _name in settings.LANGUAGES)
        raise BadInput(
            _("There is no language %(code)s here. Choose one of %(known)s.")
            % {"code": code[:20], "known": known}
        )
    return code


def keep_language(*, user: User, language: str) -> None:
    """Remember the language with the account: it comes along to the user's next machine."""
    language = checked_language(language)
    Preference.objects.update_or_create(user=user, defaults={"language": language})


def language_of(user: User) -> str:
    """The language the user chose, or nothing."""
    row = Preference.objects.filter(user=user).values_list("language", flat=True).first()
    return row if row in dict(settings.LANGUAGES) else ""
