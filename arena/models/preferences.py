from django.conf import settings
from django.db import models


class Preference(models.Model):
    """What one user has chosen for themselves, on whatever machine they sign in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preference", primary_key=True
    )
    language = models.CharField(
        max_length=12, blank=True, help_text="A code of LANGUAGES. Empty: the browser's."
    )

    def __str__(self) -> str:
        return f"{self.user}: {self.language or 'as the browser'}"
