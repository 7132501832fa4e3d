"""Folds of whole groups: what belongs together is never in training and test at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from napari_cam import checks
from napari_cam.errors import StatisticsError

Group = TypeVar("Group", bound=Hashable)


def deal_groups(groups: Sequence[Group], folds: int, seed: int = 0) -> list[tuple[Group, ...]]:
    """Deal groups into folds, as even in number of groups as possible.

    Parameters
    ----------
    groups
        The different groups; the draw depends on their order.
    folds
        From 2 to as many as there are groups.
    seed
        Of the draw.

    Raises
    ------
    StatisticsError
        Where the groups cannot fill the folds.
    """
    n, wanted = len(groups), f"2 to {len(groups)} folds"
    checks.whole(folds, f"{n} groups", StatisticsError, least=2, most=n, verb="make", wanted=wanted)
    order = np.random.default_rng(seed).permutation(len(groups))
    return [tuple(groups[place] for place in order[fold::folds]) for fold in range(folds)]


def fold_of_groups(
    groups: Sequence[Any], folds: int | Mapping[Any, int] | None = None, seed: int = 0
) -> list[int]:
    """Return the fold of each case.

    Parameters
    ----------
    groups
        For each case the group it belongs to.
    folds
        How many folds to deal the groups into; or the fold of each group; None for one fold per
        group, in order of first appearance.
    seed
        Of the draw.

    Raises
    ------
    StatisticsError
        Where there are fewer than two groups or folds, or more folds than groups.
    """
    known = list(dict.fromkeys(groups))
    if len(known) < 2:
        raise StatisticsError(
            f"There is {len(known)} group, but what is chosen on some groups is judged on others; "
            "give cases of at least two."
        )
    if isinstance(folds, Mapping):
        missing = [group for group in known if group not in folds]
        if missing:
            raise StatisticsError(f"{len(missing)} groups have no fold; name one for each group.")
        number = {group: int(folds[group]) for group in known}
        if len(set(number.values())) < 2:
            raise StatisticsError("All groups are in one fold; give at least two folds.")
    elif folds is None:
        number = {group: place for place, group in enumerate(known)}
    else:
        dealt = deal_groups(known, folds, seed)
        number = {group: fold for fold, members in enumerate(dealt) for group in members}
    return [number[group] for group in groups]


def fill_folds(
    sizes: Mapping[Group, int], filled: Sequence[int], known: Mapping[Group, int]
) -> dict[Group, int]:
    """Return the fold of each group so that folds hold about equally many cases.

    The largest group goes first, each to the fold with the fewest cases. A group that has a fold
    keeps it, so that lists that grow do not move anyone from training to test.

    Parameters
    ----------
    sizes
        How many cases each group adds; equals are dealt in this order.
    filled
        How many cases each fold holds already.
    known
        The fold of groups that have one.
    """
    counts = list(filled)
    found = {}
    for group in sorted(sizes, key=lambda each: -sizes[each]):
        fold = known.get(group)
        if fold is None:
            fold = min(range(len(counts)), key=lambda each: (counts[each], each))
        found[group] = fold
        counts[fold] += sizes[group]
    return found
