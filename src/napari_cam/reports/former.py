"""Former names that still work, and warn what to write instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import pandas as pd

P = ParamSpec("P")
T = TypeVar("T")


def former(what: str, instead: str, level: int = 2) -> None:
    """Warn of a former name; `level` 2 is the function that calls the one that calls this."""
    warnings.warn(f"{what} is deprecated; use {instead}.", DeprecationWarning, level + 1)


def former_parameter(old: str, new: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function take a parameter under its former name too."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def called(*args: P.args, **given: P.kwargs) -> T:
            if old in given:
                former(f"The parameter '{old}' of {function.__name__}", f"'{new}'")
                given[new] = given.pop(old)
            return function(*args, **given)

        return called

    return decorate


def former_column(table: pd.DataFrame, old: str, new: str) -> pd.DataFrame:
    """Return a table whose column `old` is called `new`, as it is called now."""
    if new in table or old not in table:
        return table
    former(f"The column '{old}'", f"'{new}'", 4)
    return table.rename(columns={old: new})
