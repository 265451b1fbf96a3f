from django import template

from arena.views.retold import retold

register = template.Library()
register.filter("retold", retold)
