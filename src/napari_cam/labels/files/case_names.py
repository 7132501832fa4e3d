"""Names of training cases: given by the user, or hashed, and never those of patients."""

from __future__ import annotations

import hashlib
import re
import secrets

from napari_cam.errors import MaskError

_SALT_BYTES = 16
_LETTERS = 12
# Shorter identifiers are found in any name.
_SHORTEST_IDENTITY = 3


def new_salt() -> str:
    """Return a random salt, so that hashes of two datasets cannot be matched to each other."""
    return secrets.token_hex(_SALT_BYTES)


def hashed(subject: str, salt: str) -> str:
    """Return a name that stands for a subject, and is the same only with the same salt."""
    return hashlib.sha256(f"{salt}:{subject}".encode()).hexdigest()[:_LETTERS]


def check_name(name: str, subject: str | None) -> str:
    """Return a case's name where it can be one.

    Raises
    ------
    MaskError
        Where it holds other letters than a to z, digits, "-" and "_", or the patient's own number.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        raise MaskError(
            f"'{name[:100]}' cannot name a case; take letters from a to z, digits, - and _."
        )
    if subject and len(subject) >= _SHORTEST_IDENTITY and _plain(subject) in _plain(name):
        raise MaskError(
            "The name of a case holds the patient's number or name; give another, or none to have "
            "it hashed."
        )
    return name


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower()) or text
