"""Folds of whole groups: what belongs together is never in training and test at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_cam.errors import MaskError


def fold_of_groups(
    groups: Sequence[Any], folds: int | Mapping[Any, int] | None = None, seed: int = 0
) -> list[int]:
    """Return the fold of each case.

    Parameters
    ----------
    groups
        For each case the group it belongs to.
    folds
        How many folds to draw the groups into, as even in number of groups as possible; or the
        fold of each group; None for one fold per group, in order of first appearance.
    seed
        Of the draw.

    Raises
    ------
    MaskError
        Where there are fewer than two groups or folds, or more folds than groups.
    """
    known = list(dict.fromkeys(groups))
    if len(known) < 2:
        raise MaskError(
            f"There is {len(known)} group, but what is chosen on some groups is judged on others; "
            "give cases of at least two."
        )
    if isinstance(folds, Mapping):
        missing = [group for group in known if group not in folds]
        if missing:
            raise MaskError(f"{len(missing)} groups have no fold; name one for each group.")
        numbers = {group: int(folds[group]) for group in known}
        if len(set(numbers.values())) < 2:
            raise MaskError("All groups are in one fold; give at least two folds.")
        return [numbers[group] for group in groups]
    n_folds = len(known) if folds is None else int(folds)
    if not 2 <= n_folds <= len(known):
        raise MaskError(f"{len(known)} groups make 2 to {len(known)} folds, not {folds}.")
    order = np.arange(len(known)) if folds is None else _shuffled(len(known), seed)
    number = {known[place]: fold % n_folds for fold, place in enumerate(order)}
    return [number[group] for group in groups]


def _shuffled(n: int, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(seed).permutation(n)
