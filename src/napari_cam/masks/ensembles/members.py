"""The members of an ensemble: masks by name that lie on one grid, whatever they were made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid, check_same_place
from napari_cam.heatmap import label_of
from napari_cam.masks.binarize import MaskSet

UnitAxis = int | None | Literal["members"]
"""Array axis along which the units lie; None for the whole volume, "members" for the members'."""


@dataclass(frozen=True, eq=False)
class Member:
    """One mask of an ensemble, computed when it is asked for.

    Attributes
    ----------
    name
        What it is called in the ensemble, different from all others.
    make
        Returns the mask (z, y, x) bool.
    grid
        Where it lies; None for a plain array.
    unit_axis
        Axis of the units of the heatmap it was cut from, None for one whole volume; "members" for
        a plain array, which does not say.
    provenance
        What made it, as plain JSON.
    """

    name: str
    make: Callable[[], NDArray[np.bool_]]
    grid: Grid | None = None
    unit_axis: UnitAxis = "members"
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class Members:
    """Masks of one shape, in the order in which ties are decided.

    Attributes
    ----------
    members
        At least one.
    shape
        (z, y, x) of all of them.
    grid
        Where they lie, None where no member says.
    """

    members: tuple[Member, ...]
    shape: tuple[int, int, int]
    grid: Grid | None

    @property
    def names(self) -> tuple[str, ...]:
        """What the members are called."""
        return tuple(member.name for member in self.members)

    def __len__(self) -> int:
        return len(self.members)

    def masks(self, allowed: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.bool_]]:
        """Compute the masks one after the other, cut off where `allowed` (z, y, x) is False."""
        for member in self.members:
            mask = member.make()
            if mask.shape != self.shape:
                raise MaskError(
                    f"The mask '{member.name}' has shape {mask.shape} but "
                    f"'{self.members[0].name}' {self.shape}; give all masks on one grid."
                )
            yield mask if allowed is None else mask & allowed

    def unit_axis(self, asked: UnitAxis) -> int | None:
        """Return the axis of the units: the one asked for, or else the members' own.

        Plain arrays do not say; where nobody does, units are the slices along z.

        Raises
        ------
        MaskError
            Where the axis does not exist, or the members differ.
        """
        if asked != "members":
            if asked is not None and (isinstance(asked, bool) or asked not in (0, 1, 2)):
                raise MaskError(f"The units lie along axis 0, 1, 2 or None, not {asked!r}.")
            return asked
        stated = {m.unit_axis for m in self.members if m.unit_axis != "members"}
        if len(stated) > 1:
            raise MaskError(
                "Some members were explained slice by slice and some not, or along another axis; "
                "say what is compared with unit_axis=0, 1, 2, or None for the whole volume."
            )
        found: Any = stated.pop() if stated else 0
        return None if found is None else int(found)

    def provenance(self) -> list[dict[str, Any]]:
        """Return what made each member, as plain JSON."""
        return [{"name": member.name, **member.provenance} for member in self.members]


def members_of(masks: Any) -> Members:
    """Take in the members of an ensemble.

    Parameters
    ----------
    masks
        A MaskSet; masks by name; or a sequence of these. A mask is a boolean array (z, y, x),
        another ensemble, or a MaskSet, whose masks become members of their own.

    Raises
    ------
    MaskError
        Where there are none, one is no mask, two have one name, or they lie on different grids.
    """
    found = tuple(_walk("", masks))
    if not found:
        raise MaskError("There are no masks to combine; give at least one.")
    names = [member.name for member in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MaskError(f"Two masks are called '{twice}'; give them different names.")
    grid = _common_grid(found)
    shape = grid.shape if grid is not None else _shape_of(found[0].make())
    return Members(found, shape, grid)


def _walk(name: str, masks: Any) -> Iterator[Member]:
    if isinstance(masks, MaskSet):
        yield from _of_mask_set(name, masks)
    elif isinstance(masks, np.ndarray):
        yield _of_array(name, masks)
    elif isinstance(masks, Mapping):
        for key, mask in masks.items():
            yield from _walk(_joined(name, label_of(key)), mask)
    elif isinstance(getattr(masks, "mask", None), np.ndarray):  # an Ensemble
        yield Member(
            name or label_of(masks.operator),
            lambda: np.asarray(masks.mask),
            masks.grid,
            masks.unit_axis,
            masks.provenance,
        )
    elif isinstance(masks, Sequence) and not isinstance(masks, str):
        for number, mask in enumerate(masks, start=1):
            numbered = name if isinstance(mask, MaskSet) else _joined(name, f"mask {number}")
            yield from _walk(numbered, mask)
    else:
        raise MaskError(
            f"'{name or 'masks'}' is {type(masks).__name__}, no mask; give what binarize returns, "
            "or boolean arrays by name."
        )


def _joined(outer: str, inner: str) -> str:
    return f"{outer} / {inner}" if outer else inner


def _of_array(name: str, mask: NDArray[Any]) -> Member:
    if mask.dtype != np.bool_ or mask.ndim != 3:
        raise MaskError(
            f"The mask '{name or 'mask'}' holds {mask.dtype} with {mask.ndim} axes, not booleans "
            "(z, y, x); cut a heatmap with binarize, or pick a label, as in labels == 1."
        )
    return Member(name or "mask", lambda: mask)


def _of_mask_set(name: str, masks: MaskSet) -> Iterator[Member]:
    only = name if len(masks) == 1 else ""
    for key in masks:
        heatmap = masks.heatmaps[key]
        yield Member(
            only or _joined(name, label_of(key)),
            lambda key=key: masks[key],  # type: ignore[misc]
            heatmap.grid,
            heatmap.unit_axis,
            masks.provenance_of(key),
        )


def _shape_of(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return z, y, x


def _common_grid(members: Sequence[Member]) -> Grid | None:
    """Return the grid of all members that state one."""
    first: Member | None = None
    for member in members:
        if member.grid is None:
            continue
        if first is None or first.grid is None:
            first = member
        else:
            name, known = f"The mask '{member.name}'", f"'{first.name}'"
            check_same_place(name, member.grid, known, first.grid, MaskError)
    return None if first is None else first.grid
