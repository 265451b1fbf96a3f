"""What the account pages ask of who may have an account."""

from typing import Any

from allauth.account.adapter import get_adapter
from django import template

register = template.Library()


@register.simple_tag(takes_context=True)
def sign_up_is_open(context: dict[str, Any]) -> bool:
    """Whether this browser may make an account: everybody may, or it holds an invitation."""
    request = context["request"]
    return bool(get_adapter(request).is_open_for_signup(request))
