"""From the domain's errors to HTTP. Every error has one body: {"error": "a sentence"}."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from arena import errors

# The nearest class counts: an AllSeen is answered as its parent, NotEnoughResponses.
STATUS: dict[type[errors.ArenaError], int] = {
    errors.ArenaError: status.HTTP_400_BAD_REQUEST,
    errors.NotFound: status.HTTP_404_NOT_FOUND,
    errors.SignInNeeded: status.HTTP_401_UNAUTHORIZED,
    errors.NotAllowed: status.HTTP_403_FORBIDDEN,
    errors.NotEnoughResponses: status.HTTP_409_CONFLICT,
    errors.BattleClosed: status.HTTP_409_CONFLICT,
    errors.AlreadyVoted: status.HTTP_409_CONFLICT,
    errors.TooLate: status.HTTP_409_CONFLICT,
    errors.TooMany: status.HTTP_429_TOO_MANY_REQUESTS,
    errors.JobLost: status.HTTP_409_CONFLICT,
    errors.BadBallot: status.HTTP_400_BAD_REQUEST,
    errors.BadInput: status.HTTP_400_BAD_REQUEST,
}


def status_of(error: errors.ArenaError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler. None: not ours, a fault of the server."""
    if isinstance(error, errors.ArenaError):
        refusal = Response({"error": str(error)}, status=status_of(error))
        if refusal.status_code == status.HTTP_401_UNAUTHORIZED:
            refusal["WWW-Authenticate"] = "Token"
        return refusal
    response = exception_handler(error, context)
    if response is not None:
        response.data = {"error": _sentence(error)}
    return response


def _sentence(error: Exception) -> str:
    if isinstance(error, Http404):
        return _("There is nothing at this address. See /api/v1/docs/ for what there is.")
    if isinstance(error, PermissionDenied):
        return _("You may not do this.")
    if isinstance(error, exceptions.MethodNotAllowed):
        return _("%(problem)s See /api/v1/docs/ for what this address takes.") % {"problem": error.detail}
    if isinstance(error, exceptions.ValidationError):
        return " ".join(_lines(error.detail))
    if isinstance(error, exceptions.ParseError):
        return _('The body is not valid JSON. Send an object such as {"arena": "demo"}.')
    if isinstance(error, exceptions.APIException):
        return str(error.detail)
    return str(error)


def _lines(detail: Any, name: str = "") -> list[str]:
    """A serializer's errors as sentences: "k: A valid integer is required."."""
    if isinstance(detail, dict):
        return [line for key, value in detail.items() for line in _lines(value, str(key))]
    if isinstance(detail, list):
        return [line for value in detail for line in _lines(value, name)]
    return [f"{name}: {detail}" if name and name != "non_field_errors" else str(detail)]
