"""Who was trained on, so that it can be asked again but not read: salted hashes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

_SALT_BYTES = 16


def hash_subjects(subjects: Iterable[str], salt: str | None = None) -> dict[str, Any]:
    """Return the salted SHA-256 of each distinct subject, sorted, with the salt.

    Parameters
    ----------
    subjects
        Names or numbers; repeated ones count once.
    salt
        None for a new random one, so that two networks' lists cannot be matched to each other.
    """
    salt = secrets.token_hex(_SALT_BYTES) if salt is None else salt
    hashes = sorted({_digest(str(subject), salt) for subject in subjects})
    return {"salt": salt, "sha256": hashes}


def trained_on(training: Mapping[str, Any], subject: str) -> bool | None:
    """Return whether a card's training notes hold `subject`; None where they name nobody."""
    known = training.get("subjects")
    if not isinstance(known, Mapping):
        return None
    return _digest(subject, str(known["salt"])) in known["sha256"]


def _digest(subject: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{subject}".encode()).hexdigest()
