"""Django's own admin, for staff. What has rules goes through the services here too."""

from arena.admin import arenas, contestants, prompts, records, votes, work

__all__ = ["arenas", "contestants", "prompts", "records", "votes", "work"]
