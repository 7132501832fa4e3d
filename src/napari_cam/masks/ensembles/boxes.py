"""Box filters: where masks may lie at all, known beforehand from the anatomy.

Ostrowski et al. 2024, section III-C: a small box around the middle for the prostate; brain pixels
only, without those along the central line, for brain tumours. The paper gives no sizes, so here
each is a parameter. A filter that was chosen by looking at reference masks belongs to the
calibration (:func:`napari_cam.calibrate`) and is judged out of fold with it.

``box.inside(volume.grid)`` is the `foreground` of :func:`napari_cam.binarize`. Filters combine:
``CentredBox((None, 40, 40)) & ~Within(vessels)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid

Mask = NDArray[np.bool_]


class BoxFilter(ABC):
    """Where masks may lie: frozen, and the same for every grid it fits."""

    @abstractmethod
    def inside(self, grid: Grid) -> Mask:
        """Return (z, y, x) bool on `grid`, True where masks may lie.

        Raises
        ------
        MaskError
            Where the filter does not fit the grid.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return the filter's kind and parameters as plain JSON."""

    def __and__(self, other: BoxFilter) -> BoxFilter:
        return Combined("and", (self, other))

    def __or__(self, other: BoxFilter) -> BoxFilter:
        return Combined("or", (self, other))

    def __invert__(self) -> BoxFilter:
        return Combined("not", (self,))


@dataclass(frozen=True)
class Combined(BoxFilter):
    """Filters joined by ``&`` ("and"), ``|`` ("or") or turned round by ``~`` ("not")."""

    how: Literal["and", "or", "not"]
    parts: tuple[BoxFilter, ...]

    def inside(self, grid: Grid) -> Mask:
        """Return the parts' masks, combined."""
        masks = [part.inside(grid) for part in self.parts]
        if self.how == "not":
            return ~masks[0]
        result: Mask = (np.logical_and if self.how == "and" else np.logical_or).reduce(masks)
        return result

    def facts(self) -> dict[str, Any]:
        """Return how the parts are combined, and theirs."""
        return {"kind": self.how, "parts": [part.facts() for part in self.parts]}


@dataclass(frozen=True, eq=False)
class Within(BoxFilter):
    """The voxels of a mask: tissue, brain, a labels layer.

    Parameters
    ----------
    mask
        (z, y, x), boolean, or labels (every label but 0 counts).
    name
        Name of the mask for the record, such as "brain".

    Raises
    ------
    MaskError
        If `mask` has other axes or contains fractional numbers.
    """

    mask: NDArray[Any] = field(repr=False)
    name: str = "mask"

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask)
        if mask.ndim != 3 or mask.dtype.kind not in "biu":
            raise MaskError(
                f"The filter '{self.name}' needs labels or booleans (z, y, x), not {mask.dtype} "
                f"with {mask.ndim} axes; say what counts, as in values > 0."
            )
        kept = mask != 0
        kept.setflags(write=False)
        object.__setattr__(self, "mask", kept)

    def inside(self, grid: Grid) -> Mask:
        """Return the mask itself."""
        if self.mask.shape != grid.shape:
            raise MaskError(
                f"The filter '{self.name}' has shape {self.mask.shape} but the image {grid.shape}; "
                "give a mask of this image."
            )
        return np.asarray(self.mask)

    def facts(self) -> dict[str, Any]:
        """Return the mask's name and size."""
        return {"kind": "within", "name": self.name, "voxels": int(np.count_nonzero(self.mask))}


def box_mask(box: BoxFilter | Mask | None, grid: Grid) -> Mask | None:
    """Return (z, y, x) where masks may lie, None for everywhere.

    Parameters
    ----------
    box
        A filter, or a boolean array on `grid`.
    grid
        Where the masks lie.

    Raises
    ------
    MaskError
        Where `box` is neither, or does not fit.
    """
    if box is None:
        return None
    return _filter(box).inside(grid)


def box_facts(box: BoxFilter | Mask | None) -> dict[str, Any] | None:
    """Return a box's parameters as plain JSON, None where there is none."""
    if box is None:
        return None
    return _filter(box).facts()


def _filter(box: Any) -> BoxFilter:
    if isinstance(box, BoxFilter):
        return box
    if isinstance(box, np.ndarray) and box.dtype == np.bool_:
        return Within(box, "box")
    kind = getattr(box, "dtype", type(box).__name__)
    raise MaskError(f"A box is a filter such as CentredBox, or a boolean array, not {kind}.")
