"""Arguments in their valid form, or one sentence on what is wrong with them.

Each check takes a value, what it is called, and the error to raise, and returns the value as Python
keeps such things. Words to choose from have a table of their own, in `choices`.
"""

from __future__ import annotations

import math
from numbers import Real
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import NapariCamError

Error = type[NapariCamError]


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, NumPy's too; True is none, NaN and infinity are."""
    return isinstance(value, Real) and not isinstance(value, bool)


def number(
    value: Any,
    what: str,
    error: Error,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    verb: str = "is",
    wanted: str | None = None,
) -> float:
    """Return a finite number.

    Parameters
    ----------
    value
        Anything that was given.
    what
        What it is called, the subject of the sentence.
    error
        What is raised.
    least, above, most, below
        It is at least `least`, above `above`, at most `most` and below `below`.
    verb
        What stands between it and what is wanted.
    wanted
        What is wanted, where the limits do not say it well.

    Raises
    ------
    NapariCamError
        Of the kind `error`: "The share is a number from 0 to 1, not 2."
    """
    if is_number(value) and math.isfinite(value):
        result = float(value)
        if least <= result <= most and above < result < below:
            return result
    said = wanted or f"a number{_limits(least, above, most, below)}"
    raise error(f"{what} {verb} {said}, not {value!r}.")


def whole(
    value: Any,
    what: str,
    error: Error,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    verb: str = "is",
    wanted: str | None = None,
) -> int:
    """Return a whole number from `least` to `most`; 2.0 and True are none. Else as `number`.

    Raises
    ------
    NapariCamError
        Of the kind `error`: "samples is a whole number from 1 on, not 0."
    """
    try:
        result = None if isinstance(value, bool) else index(value)
    except TypeError:
        result = None
    if result is not None and least <= result <= most:
        return result
    said = wanted or f"a whole number{_limits(least, -math.inf, most, math.inf)}"
    raise error(f"{what} {verb} {said}, not {value!r}.")


def flag(value: Any, what: str, error: Error) -> bool:
    """Return `value` where it is True or False.

    Raises
    ------
    NapariCamError
        Of the kind `error`: "antialias is true or false, not 1."
    """
    if not isinstance(value, bool):
        raise error(f"{what} is true or false, not {value!r}.")
    return value


def mask(
    value: Any, what: str, error: Error, shape: tuple[int, ...] | None = None
) -> NDArray[np.bool_]:
    """Return a boolean array, of a given shape where one is given.

    Raises
    ------
    NapariCamError
        Of the kind `error`. Arrays of other types are not taken for masks: which of their values
        count, only the caller knows.
    """
    if not isinstance(value, np.ndarray) or value.dtype != np.bool_:
        kind = getattr(value, "dtype", type(value).__name__)
        raise error(f"{what} is a boolean array, not {kind}; say what counts, as in labels > 0.")
    if shape is not None and value.shape != shape:
        raise error(f"{what} has shape {value.shape}, not {shape}; give it on the same grid.")
    return value


def _limits(least: float, above: float, most: float, below: float) -> str:
    """Return finite limits as words that follow "a number"."""
    if least > -math.inf:
        end = f"to {most:g}" if most < math.inf else f"to below {below:g}"
        return f" from {least:g} {end if min(most, below) < math.inf else 'on'}"
    if above > -math.inf and below < math.inf:
        return f" between {above:g} and {below:g}"
    low = [f"above {above:g}"] if above > -math.inf else []
    high = [f"up to {most:g}"] if most < math.inf else []
    high = [f"below {below:g}"] if below < math.inf else high
    return "".join(f" {each}" for each in [" and ".join(low + high)] if each)
