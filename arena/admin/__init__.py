"""Django's own admin, for staff. What has rules goes through the services here too."""

from django.contrib import admin

from arena.admin import arenas, contestants, doors, judges, prompts, records, votes, work

admin.site.site_header = admin.site.site_title = "Preference Arena"
admin.site.index_title = "Admin"

__all__ = ["arenas", "contestants", "doors", "judges", "prompts", "records", "votes", "work"]
