"""Labels with the meaning of their codes and their place: what exports write and readers return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.labels.classes import BACKGROUND, HIGHEST, UNLABELLED, LabelClass, LabelClasses
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.volumes.placing import on_grid


@dataclass(frozen=True, eq=False)
class LabelImage:
    """A labels image from any source.

    Attributes
    ----------
    labels
        (z, y, x) unsigned integers.
    classes
        The meaning of the codes; empty if unknown.
    grid
        Where the voxels lie.
    kind
        "seeds": 0 is unlabelled and 1 is background. "labels": 0 is background. "mask": there is
        only one class.
    provenance
        How the labels were made, as plain JSON.
    notes
        Sentences on decisions that reading had to make.
    """

    labels: NDArray[Any]
    classes: LabelClasses
    grid: Grid
    kind: str = "labels"
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def seeds(self) -> Seeds:
        """Return the labels as seeds, to edit or export.

        Raises
        ------
        MaskError
            If 0 means background in them, or a code has no class.
        """
        if self.kind != "seeds":
            raise MaskError(
                "In these labels 0 is background, not unlabelled; seeds keep 1 for background."
            )
        return Seeds(self.labels.astype(np.uint8), self.classes, self.grid, self.provenance)

    def mask(self) -> NDArray[np.bool_]:
        """Return (z, y, x) bool, the voxels of all classes (for seeds without the background)."""
        return marked(self.labels, self.kind)

    def on(self, grid: Grid, what: str = "labels") -> LabelImage:
        """Return the same labels with the axes and directions of another grid of the same voxels.

        Raises
        ------
        MaskError
            If the grids do not have the same voxels, or labels lie outside `grid`.
        """
        return replace(self, labels=on_grid(self.labels, self.grid, grid, what), grid=grid)


def marked(labels: NDArray[Any], kind: str) -> NDArray[np.bool_]:
    """Return where labels of a kind mark something; the background of seeds is marked as absent."""
    there = np.asarray(labels != UNLABELLED)
    return there & (labels != BACKGROUND) if kind == "seeds" else there


def label_image(
    labels: Seeds | LabelImage | NDArray[Any],
    grid: Grid,
    classes: LabelClasses | None = None,
) -> LabelImage:
    """Return labels of any form on `grid`.

    Parameters
    ----------
    labels
        Seeds, a label image, or an array (z, y, x) of whole numbers (0 is background) or booleans.
    grid
        Where they must lie; other axes and directions of the same voxels are turned.
    classes
        What the codes mean, in place of what `labels` say; without, "label 1", "label 2", ...

    Raises
    ------
    MaskError
        Where the labels do not fit the grid, are no labels, or hold a code without a class.
    """
    if isinstance(labels, Seeds):
        labels = LabelImage(labels.labels, labels.classes, labels.grid, "seeds", labels.provenance)
    if not isinstance(labels, LabelImage):
        labels = _of_array(np.asarray(labels), grid)
    image = labels.on(grid)
    if classes is not None:
        image = replace(image, classes=classes)
    elif not len(image.classes):
        image = replace(image, classes=numbered(_codes(image.labels)))
    if len(image.classes):
        check_codes(image.labels, image.classes)
    return image


def _of_array(array: NDArray[Any], grid: Grid) -> LabelImage:
    if array.shape != grid.shape:
        raise MaskError(
            f"The labels have shape {array.shape} but the image {grid.shape} (z, y, x); "
            "give labels on the image's own grid."
        )
    if array.dtype.kind == "b":
        mask = LabelClasses((LabelClass(1, "mask", colours(1)[0]),))
        return LabelImage(array.astype(np.uint8), mask, grid, "mask")
    return LabelImage(whole_numbers(array), LabelClasses(()), grid)


def whole_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Return labels as unsigned integers.

    Raises
    ------
    MaskError
        Where one is negative or no whole number.
    """
    if array.dtype.kind == "u":
        return array
    if array.dtype.kind not in "if" or not bool((array == np.trunc(array)).all()):
        raise MaskError("These are no labels: labels are whole numbers; cut heatmaps first.")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise MaskError(f"The labels run from {low:g} to {high:g}; number them anew with 0 and up.")
    return array.astype(np.min_scalar_type(int(high)))


def check_codes(labels: NDArray[Any], classes: LabelClasses) -> None:
    """Raise where a voxel holds a code that no class has."""
    unknown = sorted(set(_codes(labels)) - set(classes.codes))
    if unknown:
        raise MaskError(
            f"The labels hold {unknown[0]}, which is no class; "
            f"there are {', '.join(str(code) for code in classes.codes)}."
        )


def numbered(codes: Iterable[int]) -> LabelClasses:
    """Return classes "label 1", "label 2", ...; none where a code is beyond what a class can be."""
    codes = tuple(codes)
    if any(code > HIGHEST for code in codes):
        return LabelClasses(())
    named = zip(codes, colours(len(codes)), strict=True)
    return LabelClasses(tuple(LabelClass(code, f"label {code}", colour) for code, colour in named))


def colours(n: int) -> list[str]:
    """Return `n` colours, told apart by colour-blind people as far as there are so many."""
    names = [str(place) for place in range(n)]
    return [each.colour for each in LabelClasses.of_seeds(names)][1:]


def _codes(labels: NDArray[Any]) -> list[int]:
    if labels.dtype == np.uint8:  # several times faster than sorting
        found: list[int] = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=1)).tolist()
    else:
        found = np.unique(labels).tolist()
    return [code for code in found if code != UNLABELLED]
