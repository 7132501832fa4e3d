"""How a command ends: exit codes, one sentence for the user, a log for what is our own fault."""

from __future__ import annotations

import errno
import functools
import logging
import os
import platform
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from pathlib import Path
from typing import Any, ParamSpec

import typer

from napari_cam.errors import NapariCamError

P = ParamSpec("P")

DEBUG: ContextVar[bool] = ContextVar("debug", default=False)
"""Whether tracebacks, warnings and the libraries' own messages are shown."""


class ExitCode(IntEnum):
    """What a command's exit code says; 2, wrong usage, is typer's own."""

    DONE = 0
    NAMED_ERROR = 1
    SOME_FAILED = 3
    OUR_BUG = 70
    INTERRUPTED = 130


def guarded(body: Callable[P, ExitCode | None]) -> Callable[P, None]:
    """Make a command of `body`: whatever it raises becomes an exit code and a sentence."""

    @functools.wraps(body)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _quiet():
                code = body(*args, **kwargs) or ExitCode.DONE
        except typer.Exit:
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every end has its code
            code = _explain(error, (*args, kwargs))
        if code:
            raise typer.Exit(code)

    return command


def sentence(error: BaseException) -> str | None:
    """Return what to tell the user about an error they can mend; None for a bug of ours."""
    if isinstance(error, NapariCamError):
        return " ".join(str(error).split())
    if _is_out_of_memory(error):
        return "The computer's memory does not suffice; close other programs or explain less."
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename is not None else ""
        reason = error.strerror or type(error).__name__
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk is full{where and f' at{where}'}; free some space and try again."
        return f"The file system failed{where and f' at{where}'} ({reason}); check name and rights."
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules:  # nothing else calls a lack of memory by other names
        return False
    from napari_cam.models.device import is_out_of_memory

    return is_out_of_memory(error)


def complain(text: str) -> None:
    """Print one sentence on an error to the standard error stream."""
    typer.echo(f"error: {text}", err=True)


def _explain(error: BaseException, arguments: Any) -> ExitCode:
    if isinstance(error, BrokenPipeError):
        return ExitCode.DONE  # whoever read our output has seen enough
    if DEBUG.get():
        typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, KeyboardInterrupt):
        complain("Interrupted; what was finished stays, and nothing is half-written.")
        return ExitCode.INTERRUPTED
    said = sentence(error)
    if said is not None:
        complain(said)
        return ExitCode.NAMED_ERROR
    complain(
        f"napari-cam itself failed ({type(error).__name__}), which is its fault and not yours; "
        f"please report it with {_log(error, arguments)}."
    )
    return ExitCode.OUR_BUG


def _log(error: BaseException, arguments: Any) -> str:
    """Write a log of a bug and return how to call it."""
    facts = [f"python {platform.python_version()} on {platform.platform()}"]
    facts += [
        f"{name} {getattr(sys.modules[name], '__version__', '?')}"
        for name in ("torch", "numpy", "nibabel", "tifffile", "typer")
        if name in sys.modules
    ]
    text = "\n".join([*facts, "", "".join(traceback.format_exception(error))])
    text = redacted(text, _texts(arguments))
    try:
        handle, name = tempfile.mkstemp(prefix="napari-cam-", suffix=".log")
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        typer.echo(text, err=True)
        return "the traceback above"
    return f"the log {name}, from which the values of your arguments were taken out"


def redacted(text: str, values: list[str]) -> str:
    """Return `text` without the `values` of arguments, which may hold names of people.

    Paths are taken out whole, resolved, and by their parts: an error may speak of a file name or
    its stem alone.
    """
    secrets: dict[str, int] = {}
    for number, value in enumerate(values, start=1):
        path = Path(value)
        forms = [value, os.path.realpath(value), *path.parts, path.stem, path.stem.split(".")[0]]
        for form in forms:
            if len(form.strip("./\\ ")) > 1:
                secrets.setdefault(form, number)
    for secret in sorted(secrets, key=len, reverse=True):
        # Short values would otherwise be found within words and numbers.
        pattern = re.escape(secret) if len(secret) > 3 else rf"(?<!\w){re.escape(secret)}(?!\w)"
        text = re.sub(pattern, f"<argument {secrets[secret]}>", text)
    return text


def _texts(value: Any) -> list[str]:
    """Return every text in the arguments of a command."""
    if isinstance(value, (str, Path)):
        return [str(value)]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings and log messages off the terminal, except for debugging."""
    if DEBUG.get():
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
