"""Whether a file is DICOM, seen from its first bytes: apart, so that asking loads no library."""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 132
"""So many of the first bytes are needed."""


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with `head` is DICOM by its signature."""
    return head[128:132] == b"DICM"


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM by its signature; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False


def may_be_dicom(head: bytes) -> bool:
    """Whether `head` could begin a DICOM dataset that lacks the signature, as old ones do.

    Such a dataset begins with an element of group 0002 or 0008.
    """
    little = head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0"
    big = head[:2] in (b"\0\x02", b"\0\x08") and head[2:3] == b"\0"
    return len(head) > 8 and (little or big)
