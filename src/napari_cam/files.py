"""Writing files whole or not at all, never over another file unless asked."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_cam.errors import WriteError
from napari_cam.provenance import to_json


def suffixes(path: Path) -> str:
    """Return the extension in lower case; ``.nii.gz``, ``.ome.tif``, ``.seg.nrrd`` count as one."""
    name = path.name.lower()
    for double in (".nii.gz", ".ome.tiff", ".ome.tif", ".seg.nrrd"):
        if name.endswith(double):
            return double
    return path.suffix.lower()


def sidecar_path(path: Path) -> Path:
    """Return the path of the provenance sidecar beside `path`: ``map.nii.gz`` -> ``map.json``."""
    extension = suffixes(path)
    stem = path.name[: len(path.name) - len(extension)] if extension else path.name
    return path.with_name(f"{stem}.json")


def check_writable(path: Path, overwrite: bool) -> None:
    """Raise a :class:`WriteError` where `path` cannot be, or must not be, written."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # said below, or on writing
    except (OSError, ValueError) as error:  # too long a name, a zero byte in it
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"{str(path)[:200]!r} cannot name a file ({reason}); choose another name."
        ) from error
    if path.is_dir():
        raise WriteError(f"{path} is a folder; give a file name inside it.")
    if path.exists() and not overwrite:
        raise WriteError(f"{path} exists already; choose another name or ask to overwrite it.")
    if not path.parent.is_dir():
        raise WriteError(f"The folder {path.parent} does not exist; create it first.")


@contextmanager
def writing(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends well.

    On any error the temporary file is removed and what stood at `path` stays as it was.

    Raises
    ------
    WriteError
        Where `path` exists (and `overwrite` is False) or its folder cannot be written.
    """
    path = Path(path)
    with writing_all([path], overwrite) as (temporary,):
        yield temporary


@contextmanager
def writing_all(paths: Sequence[Path], overwrite: bool = False) -> Iterator[list[Path]]:
    """Yield temporary paths, which become `paths` together when the block ends well.

    On any error all temporary files are removed and what stood at `paths` stays as it was.

    Raises
    ------
    WriteError
        Where one exists (and `overwrite` is False) or a folder cannot be written.
    """
    for path in paths:
        check_writable(path, overwrite)
    temporaries: list[Path] = []
    try:
        temporaries.extend(map(_temporary, paths))
        yield temporaries
        # mkstemp makes files private; a result is as readable as any other new file.
        umask = os.umask(0)
        os.umask(umask)
        for temporary in temporaries:
            temporary.chmod(0o666 & ~umask)
        put_in_place(list(zip(temporaries, paths, strict=True)))
    except OSError as error:
        raise WriteError(
            f"{paths[0]} could not be written ({error.strerror or error}); "
            "free some space or choose another folder."
        ) from error
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=suffixes(path))
        os.close(handle)
    except OSError as error:
        raise WriteError(
            f"Nothing can be written in {path.parent} ({error.strerror}); choose another folder."
        ) from error
    return Path(name)


def put_in_place(moves: Sequence[tuple[Path, Path]]) -> None:
    """Rename files, all or none: where one fails, those before it are put back.

    Parameters
    ----------
    moves
        (from, to) on one file system; what stands at "to" is replaced.

    Raises
    ------
    OSError
        What the first failure raised.
    """
    done: list[tuple[Path, Path | None]] = []
    try:
        for number, (temporary, path) in enumerate(moves):
            kept = None
            if len(moves) > 1 and path.exists():
                kept = temporary.with_name(f".replaced-{number}-{temporary.name.lstrip('.')}")
                os.replace(path, kept)
            done.append((path, kept))
            os.replace(temporary, path)
    except BaseException:
        for path, kept in reversed(done):
            if kept is not None:
                os.replace(kept, path)
            elif len(moves) > 1:
                path.unlink(missing_ok=True)
        raise
    for _, kept in done:
        if kept is not None:
            with suppress(OSError):
                kept.unlink()


def write_sidecar(path: str | Path, provenance: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Write the provenance of `path` as JSON beside it and return where."""
    target = sidecar_path(Path(path))
    with writing(target, overwrite) as temporary:
        temporary.write_text(to_json(provenance), encoding="utf-8")
    return target


def read_sidecar(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the JSON beside `path`; empty where there is none, or none that can be read."""
    try:
        facts = json.loads(sidecar_path(Path(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
