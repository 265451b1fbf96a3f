import re
from collections.abc import Mapping

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from arena.models import Response
from arena.services.media import own_file
from arena.services.rendering import html_of, render_markdown

SPEAKER = re.compile(r'<p class="role">(user|assistant)</p>')


def shown_response(response: Response, letter: str = "") -> SafeString:
    """A response for somebody who may know whose it is: its text, or its file."""
    file = own_file(response)
    return shown_file(file, letter) if file else shown(response.text, html_of(response))


def shown_file(file: Mapping[str, str], letter: str = "") -> SafeString:
    """A picture, a sound, a film or a model in the place of a text, with words for who cannot see it."""
    kind = file["media_type"].partition("/")[0]
    of = {"letter": letter}
    if kind == "image":
        label = _("Picture of response %(letter)s") % of if letter else _("Picture")
        return format_html('<img class="file" src="{}" alt="{}" decoding="async">', file["url"], label)
    if kind == "audio":
        label = _("Sound of response %(letter)s") % of if letter else _("Sound")
        player = '<audio class="file" src="{}" aria-label="{}" controls preload="metadata"></audio>'
        return format_html(player, file["url"], label)
    if kind == "video":
        label = _("Film of response %(letter)s") % of if letter else _("Film")
        player = '<video class="file" src="{}" aria-label="{}" controls preload="metadata"></video>'
        return format_html(player, file["url"], label)
    label = _("Download the 3D model of response %(letter)s") % of if letter else _("Download the 3D model")
    return format_html('<a class="button" href="{}" download>{}</a>', file["url"], label)


def shown(text: str, html: str = "") -> SafeString:
    """Markdown for a template: the HTML that was sanitised when the text was written down, or made now.

    In a response of several turns the speakers get their names in the reader's language.
    """
    html = html or render_markdown(text)
    if '<p class="role">' in html:
        names = {"user": _("User"), "assistant": _("Assistant")}
        html = SPEAKER.sub(lambda found: f'<p class="role">{names[found[1]]}</p>', html)
    return mark_safe(html)  # noqa: S308  (the sanitiser had the last word)
