"""Damaged files end in one named error, whatever the decoder underneath makes of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from napari_cam.errors import NapariCamError, VolumeError


@contextmanager
def decoding(path: Path, family: str) -> Iterator[None]:
    """Turn anything that a decoder raises on `path` into a :class:`VolumeError`.

    Decoders meet arbitrary bytes here and raise arbitrary errors on them (struct, zlib, key, index
    and recursion errors were all seen), so no list of types would be complete. Their warnings
    are silenced: what matters to the user stands in the volume's notes.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except NapariCamError as error:
        if str(path) in str(error):
            raise
        raise VolumeError(f"{path}: {error}") from error
    except PermissionError as error:
        raise VolumeError(f"{path} may not be opened; ask for the right to read it.") from error
    except MemoryError as error:
        raise VolumeError(
            f"{path} does not fit into memory; crop it or give this computer more."
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise VolumeError(
            f"{path} cannot be read as {family} ({reason[:200]}); "
            "it may be damaged or cut short: copy or export it again."
        ) from error
