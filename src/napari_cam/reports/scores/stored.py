"""Dataclasses of plain values and arrays as one file, and back exactly as they were.

The file is a ZIP archive of a JSON header and NumPy arrays (``.npz``, which NumPy opens too).
Nothing in it is ever run, and no more is read than the archive says that it holds.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import NapariCamError, ReportError, WriteError
from napari_cam.files import writing

Arrays = Sequence[NDArray[Any]]

_HEADER = "header.json"
_LONGEST_HEADER = 2**26  # bytes
_OTHER = "it holds other things than scores do"
_LARGEST = 2**32  # bytes of all arrays, unpacked
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, NapariCamError),
)


def write_stored(path: Path, header: Mapping[str, Any], overwrite: bool) -> None:
    """Write a header of plain values, arrays and dataclasses of them; whole or not at all.

    Raises
    ------
    WriteError
        Where the file exists (and `overwrite` is False) or cannot be written, or the arrays have
        more than 4 GiB.
    """
    arrays: list[NDArray[Any]] = []
    text = json.dumps(_flattened(header, arrays), ensure_ascii=True, allow_nan=False)
    if sum(array.nbytes for array in arrays) > _LARGEST:
        raise WriteError(
            f"The scores are too large for one file, {path}; make them with pictures=False."
        )
    with (
        writing(path, overwrite) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr(_entry(_HEADER), text)
        for number, array in enumerate(arrays):
            with archive.open(_entry(_member(number)), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, (1, 0), allow_pickle=False)


def read_stored(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return the header of a file and its arrays, for :func:`stored_as`.

    Raises
    ------
    ReportError
        Where the file is missing, damaged or another one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {each.filename: each.file_size for each in archive.infolist()}
            if sizes[_HEADER] > _LONGEST_HEADER or sum(sizes.values()) > _LARGEST:
                raise ValueError("it is larger than scores are")
            header = json.loads(archive.read(_HEADER))
            if not isinstance(header, dict):
                raise ValueError("its header is no object")
            return header, [_array(archive, _member(place)) for place in range(len(sizes) - 1)]
    except FileNotFoundError as error:
        raise ReportError(f"There is no file {path}; check the path.") from error
    except _DAMAGE as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: BaseException) -> ReportError:
    """Return the error for a file that does not hold what it should."""
    reason = str(error) or type(error).__name__
    return ReportError(f"{path} holds no scores that can be read ({reason}); score the case again.")


def stored_as(hint: Any, tree: Any, arrays: Arrays, path: Path) -> Any:
    """Return what a part of a header was before it was stored.

    Parameters
    ----------
    hint
        Its type: a dataclass whose fields are plain values, arrays, tuples, mappings by text, or
        such dataclasses.
    tree, arrays
        The part, and all arrays of the file.
    path
        The file, for the error.

    Raises
    ------
    ReportError
        Where the part is something else.
    """
    try:
        return _rebuilt(hint, tree, arrays)
    except _DAMAGE as error:
        raise damaged(path, error) from error


def _member(number: int) -> str:
    return f"array-{number}.npy"


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry that states a fixed time: the same scores give the same bytes."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read an array whose header says the very size that the archive does."""
    with archive.open(name) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("an array of another version")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size != archive.getinfo(name).file_size - file.tell():
            raise ValueError("an array of another size than it states")
        content = np.frombuffer(file.read(), dtype)
    return content.reshape(shape, order="F" if by_columns else "C")


def _flattened(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return a value as plain JSON; its arrays are added to `arrays` and named by their number."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if is_dataclass(value):
        return {each.name: _flattened(getattr(value, each.name), arrays) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _flattened(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_flattened(item, arrays) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _rebuilt(hint: Any, tree: Any, arrays: Arrays) -> Any:
    """Return a value of the type `hint` from plain JSON and the arrays that it names."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _first_that_fits(inner, tree, arrays)
    if origin is np.ndarray:
        return _array_of(get_args(inner[1])[0], tree, arrays)
    if origin is tuple:
        items = _checked(tree, type(tree) is list)
        hints = [inner[0]] * len(items) if inner[1:] == (...,) else inner
        return tuple(_rebuilt(*each, arrays) for each in zip(hints, items, strict=True))
    if origin is not None and origin is not Literal:  # a mapping by text
        items = _checked(tree, type(tree) is dict).items()
        return {key: _rebuilt(inner[1], item, arrays) for key, item in items}
    if is_dataclass(hint):
        made: Any = hint
        types = get_type_hints(made)
        _checked(tree, type(tree) is dict and set(tree) == {each.name for each in fields(made)})
        return made(**{name: _rebuilt(types[name], item, arrays) for name, item in tree.items()})
    return _plain(hint, origin, inner, tree)


def _plain(hint: Any, origin: Any, inner: tuple[Any, ...], tree: Any) -> Any:
    if hint is Any:
        return tree
    if origin is Literal:
        return _checked(tree, tree in inner)
    if hint is float:
        return float(_checked(tree, type(tree) in (int, float) or tree in ("nan", "inf", "-inf")))
    return _checked(tree, type(tree) is hint)


def _array_of(dtype: Any, tree: Any, arrays: Arrays) -> NDArray[Any]:
    number = _checked(tree, type(tree) is dict and set(tree) == {"array"})["array"]
    array: NDArray[Any] = arrays[_checked(number, type(number) is int and number >= 0)]
    _checked(array, array.dtype == dtype)
    return array


def _first_that_fits(hints: tuple[Any, ...], tree: Any, arrays: Arrays) -> Any:
    if tree is None and NoneType in hints:
        return None
    for hint in hints:
        try:
            return _rebuilt(hint, tree, arrays)
        except (ValueError, TypeError):
            continue
    raise ValueError(_OTHER)


def _checked(value: Any, fits: bool) -> Any:
    if not fits:
        raise ValueError(_OTHER)
    return value
