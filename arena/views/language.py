"""The language of the pages: the reader's choice (cookie and account), else what the browser asks for."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from arena.services.preferences import checked_language, keep_language, language_of
from arena.views.entry import person


class Language(LocaleMiddleware):
    """Django's choice by cookie and browser, and the account's language from the moment of signing in.

    The account is asked once, when its owner signs in, and the cookie keeps the answer: pages
    cost no query for it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        language = getattr(request, "language_to_keep", "")
        if language:
            _set_cookie(response, language)
        return response


@receiver(user_logged_in)
def take_along(request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None:
        request.language_to_keep = language_of(user)  # type: ignore[attr-defined]


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Take the reader's choice, and back to the page that the switch was on."""
    language = checked_language(request.POST.get("language", ""))
    user = person(request)
    if user is not None:
        keep_language(user=user, language=language)
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "home"
    response = redirect(target)
    _set_cookie(response, language)
    return response


def _set_cookie(response: HttpResponseBase, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
