"""Checks of step parameters; each failure names the step, the parameter and what is valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

from napari_cam import checks
from napari_cam.errors import PreparationError


def refuse(step: str, sentence: str) -> NoReturn:
    """Raise :class:`PreparationError` about the step named `step`."""
    raise PreparationError(_named(step, sentence))


def _named(step: str, what: str) -> str:
    return f"Preparation step '{step}': {what}"


def choice(step: str, name: str, value: Any, valid: Sequence[Any]) -> Any:
    """Return `value` where it is one of `valid` (True is not 1)."""
    if any(value == item and type(value) is type(item) for item in valid):
        return value
    refuse(step, f"{name} is one of {', '.join(map(repr, valid))}, not {value!r}.")


def flag(step: str, name: str, value: Any) -> bool:
    """Return `value` where it is True or False."""
    return checks.flag(value, _named(step, name), PreparationError)


def number(
    step: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
) -> float:
    """Return `value` as a finite float in [low, high] and greater than `above`."""
    limits = [f"at least {low:g}"] if math.isfinite(low) else []
    limits += [f"above {above:g}"] if math.isfinite(above) else []
    limits += [f"at most {high:g}"] if math.isfinite(high) else []
    wanted = " ".join(["a finite number", " and ".join(limits)]).strip()
    what = _named(step, name)
    return checks.number(
        value, what, PreparationError, least=low, most=high, above=above, wanted=wanted
    )


def numbers(
    step: str, name: str, value: Any, above: float = -math.inf, optional: bool = False
) -> tuple[Any, ...]:
    """Return a sequence as a tuple of finite floats (or None where `optional`), one at least."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) == 0:
        refuse(step, f"{name} is a list of numbers, not {value!r}.")
    return tuple(
        None if optional and item is None else number(step, name, item, above=above)
        for item in value
    )


def count(step: str, name: str, value: Any, low: int = 1) -> int:
    """Return `value` where it is a whole number of at least `low`."""
    return checks.whole(value, _named(step, name), PreparationError, least=low)


def counts(step: str, name: str, value: Any, low: int = 1) -> tuple[int, ...]:
    """Return a sequence as a tuple of whole numbers of at least `low`, one at least."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) == 0:
        refuse(step, f"{name} is a list of whole numbers, not {value!r}.")
    return tuple(count(step, name, item, low) for item in value)


def size(step: str, name: str, value: Any) -> int | tuple[int, ...]:
    """Return a size: one number for all axes or one per axis."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return counts(step, name, value)
    return count(step, name, value)


def per_axis(step: str, name: str, value: Any, ndim: int) -> tuple[Any, ...]:
    """Return `value` once per axis.

    Raises
    ------
    PreparationError
        Where a sequence has another length than `ndim`.
    """
    if not isinstance(value, tuple):
        return (value,) * ndim
    if len(value) != ndim:
        axes = "(rows, columns)" if ndim == 2 else "(z, y, x)"
        refuse(step, f"{name} needs {ndim} numbers {axes} for a {ndim}D network, not {len(value)}.")
    return value
