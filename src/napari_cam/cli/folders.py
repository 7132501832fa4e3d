"""The folder that a command writes to: made when needed, and taken away again if nothing came."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cam.errors import WriteError
from napari_cam.files import check_writable, sidecar_path

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write to; one made here and still empty after an error goes again.

    Raises
    ------
    WriteError
        Where it cannot be made or written to.
    """
    made: list[Path] = []
    try:
        _make(path, made)
        if not os.access(path, os.W_OK | os.X_OK):
            raise WriteError(f"Nothing can be written in {path}; choose another folder.")
        yield path
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise


def _make(path: Path, made: list[Path]) -> None:
    """Make a folder and its parents, and add those that did not exist to `made`."""
    for folder in (path, *path.parents):
        if os.path.isfile(folder):
            raise WriteError(f"{folder} is a file; give a folder to write to.")
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir()
                made.append(folder)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"The folder {path} cannot be made ({reason}); choose another one."
        ) from error


def extension_like(volume: Volume) -> str:
    """Return the ending of files that are written like `volume`."""
    return ".tif" if volume.source.format == "tiff" else ".nii.gz"


def check_results(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise before anything is computed where a result, or its sidecar, cannot be written.

    Raises
    ------
    WriteError
        Where a file stands there already and is not to be replaced.
    """
    for path in paths:
        for each in (path, sidecar_path(path)):
            if each.exists() and not each.is_dir() and not overwrite:
                raise WriteError(
                    f"{each} exists already; choose another folder or say --overwrite."
                )
            check_writable(each, overwrite)
