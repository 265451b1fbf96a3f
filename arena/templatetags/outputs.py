from django import template
from django.utils.safestring import SafeString

from arena.views.outputs import shown

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """What a model wrote earlier in a conversation, rendered and sanitised as in its own battle."""
    return shown(text)
