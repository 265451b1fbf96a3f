"""Who may make an account, on the sign-up page and through an organisation's own sign-in (OIDC)."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.http import HttpRequest

from arena.services.invitations import SESSION_KEY, opens_sign_up


class AccountAdapter(DefaultAccountAdapter):
    """Signing up is off unless ARENA_ALLOW_SIGN_UP is set or this browser holds an invitation."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.ALLOW_SIGN_UP) or opens_sign_up(request.session.get(SESSION_KEY, ""))


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Whoever the organisation's provider lets in has an account; what they may do, their roles say."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True
