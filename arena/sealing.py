"""Keeps secrets that the database must hold (webhooks' keys) unreadable without the installation's key.

Fernet (AES-128-CBC with HMAC-SHA256) under a key derived from SECRET_KEY; with
SECRET_KEY_FALLBACKS what an older key sealed can still be read.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from arena.errors import BadInput


def seal(secret: str) -> str:
    return _fernets().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises BadInput where the key that sealed it is gone."""
    try:
        return _fernets().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise BadInput(
            "This secret was sealed with another ARENA_SECRET_KEY. Put the old key into "
            "ARENA_SECRET_KEY_FALLBACKS, or make a new secret."
        ) from None


def _fernets() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"preference-arena sealing").derive(key.encode())
