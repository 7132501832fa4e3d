"""Refinement: seeds and heatmaps led by the edges of the image they belong to.

Whether that brings them nearer to the truth depends on whether the truth has edges in the image;
:func:`napari_cam.refinement_gain` finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.grid import Grid, check_same_place
from napari_cam.heatmap import Heatmap, Maps
from napari_cam.labels.choices import REFINED_PER, REFINEMENTS, RefinedPer, Refinement
from napari_cam.labels.seeds.guided_filter import guided_filter
from napari_cam.labels.seeds.random_walk import random_walk
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.provenance import stamp
from napari_cam.units import by_unit
from napari_cam.volumes.volume import Volume

Given = TypeVar("Given", bound=Seeds | Heatmap | Mapping[Any, Heatmap])


def refine(
    volume: Volume,
    given: Given,
    method: Refinement | None = None,
    *,
    per: RefinedPer | None = None,
    foreground: NDArray[np.bool_] | None = None,
    beta: float = 10.0,
    certainty: float = 0.5,
    radius: float = 2.0,
    epsilon: float = 0.1,
) -> Given:
    """Grow seeds or smooth heatmaps along the edges of the image.

    The image's channels are averaged. Intensities are expressed in standard deviations over the
    foreground of each slice (or of the volume), so the parameters mean the same for every scanner.

    Parameters
    ----------
    volume
        The image that was explained.
    given
        Seeds for the random walker: each unlabelled voxel gets the class that a random walk from it
        is most likely to reach first; labelled voxels keep their label. A heatmap, or heatmaps by
        key, for the guided filter.
    method
        "random-walker" or "guided"; None chooses by the type of `given`.
    per
        "slice" or "volume". None uses the units that were explained: slices, or the volume of a 3D
        network. Voxels need not be cubes: distances use the grid's spacing.
    foreground
        (z, y, x) bool, the tissue. Voxels outside it are ignored: labels keep their value, heatmaps
        become 0. Without a foreground, the random walker also labels voxels that no network saw.
    beta
        Random walker: two neighbours with intensities d standard deviations apart, at a distance of
        h (in units of the finest voxel size), are connected with weight exp(-beta (d / h)^2).
    certainty
        Random walker: the probability that the most likely class must exceed; otherwise the voxel
        stays unlabelled.
    radius
        Guided filter: half the width of the window, in the grid's units (mm or pixels); at least
        one voxel along the finest axis.
    epsilon
        Guided filter: the variance that counts as flat, in squared standard deviations.

    Raises
    ------
    MaskError
        If the method does not suit `given`, grids differ, or a parameter is out of range.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> heatmap = nc.explain_one(model, volume, "gradcam", "damaged")
    >>> smooth = nc.refine(volume, heatmap, "guided", radius=2)
    >>> tissue = nc.foreground(volume)
    >>> seeds = nc.make_seeds(heatmap, foreground=tissue)
    >>> grown = nc.refine(volume, seeds, "random-walker", foreground=tissue)
    >>> grown.voxels["unlabelled"] < seeds.voxels["unlabelled"]
    True
    """
    heatmaps: Any = {"": given} if isinstance(given, Heatmap) else given
    _check(heatmaps, method, per, foreground, volume.grid)
    _check_numbers(beta, certainty, radius, epsilon)
    grey = _grey(volume)
    if isinstance(heatmaps, Seeds):
        check_same_place("What was seeded", heatmaps.grid, "the volume", volume.grid, MaskError)
        explained = heatmaps.provenance.get("unit_axis", volume.stack_axis)
        axis = _axis(per, explained, volume)
        return cast(Given, _walked(heatmaps, grey, axis, foreground, beta, certainty))
    smoothed: dict[Any, Heatmap] = {}
    for key, heatmap in heatmaps.items():
        check_same_place("The heatmap", heatmap.grid, "the volume", volume.grid, MaskError)
        axis = _axis(per, heatmap.unit_axis, volume)
        smoothed[key] = _guided(heatmap, grey, axis, foreground, radius, epsilon)
    if isinstance(given, Heatmap):
        return cast(Given, smoothed[""])
    return cast(Given, Maps(smoothed) if isinstance(given, Maps) else smoothed)


def _walked(
    seeds: Seeds,
    grey: NDArray[np.float32],
    axis: int | None,
    foreground: NDArray[np.bool_] | None,
    beta: float,
    certainty: float,
) -> Seeds:
    labels = seeds.labels.copy()
    spacing = seeds.grid.spacing_within(axis)
    distance = [size / min(spacing) for size in spacing]
    within = None if foreground is None else by_unit(foreground, axis)
    images = by_unit(grey, axis)
    for unit, part in enumerate(by_unit(labels, axis)):
        tissue = None if within is None else within[unit]
        image = _standardised(images[unit], tissue)
        part[...] = random_walk(image, part, distance, beta, certainty, tissue)
    facts = stamp(
        method="random-walker",
        reference="Grady 2006, IEEE TPAMI 28:1768",
        per="volume" if axis is None else "slice",
        beta=beta,
        certainty=certainty,
        foreground=foreground is not None,
    )
    return replace(seeds, labels=labels, provenance={**seeds.provenance, "refined": facts})


def _guided(
    heatmap: Heatmap,
    grey: NDArray[np.float32],
    axis: int | None,
    foreground: NDArray[np.bool_] | None,
    radius: float,
    epsilon: float,
) -> Heatmap:
    said = heatmap.inside & heatmap.per_unit(heatmap.valid)
    if foreground is not None:
        said &= foreground
    values = np.zeros_like(heatmap.values)
    spacing = heatmap.grid.spacing_within(axis)
    reach = [round(radius / size) for size in spacing]
    finest = int(np.argmin(spacing))
    reach[finest] = max(1, reach[finest])
    parts = (by_unit(each, axis) for each in (values, said, grey, heatmap.values))
    for smoothed, counted, image, given in zip(*parts, strict=True):
        if counted.any():
            even = _standardised(image, counted)
            smoothed[...] = guided_filter(even, given.astype(np.float64), reach, epsilon, counted)
    if heatmap.kind != "signed":  # a linear fit may overshoot what it is fitted to
        values = np.clip(values, 0, 1 if heatmap.kind == "unit" else None)
    facts = stamp(
        method="guided",
        reference="He 2013, IEEE TPAMI 35:1397",
        per="volume" if axis is None else "slice",
        radius=radius,
        epsilon=epsilon,
        foreground=foreground is not None,
    )
    return replace(heatmap, values=values, provenance={**heatmap.provenance, "refined": facts})


def _axis(per: RefinedPer | None, explained: int | None, volume: Volume) -> int | None:
    """Return the axis along which slices are refined, None for the volume as one."""
    if per == "volume" or (per is None and explained is None):
        return None
    return volume.stack_axis if explained is None else explained


def _grey(volume: Volume) -> NDArray[np.float32]:
    """Return the image (z, y, x), channels averaged, what is no number 0."""
    values = np.asarray(volume.values, np.float32)
    grey = values.mean(axis=0) if values.ndim == 4 else values
    return np.nan_to_num(grey, nan=0.0, posinf=0.0, neginf=0.0)


def _standardised(
    image: NDArray[np.float32], counted: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return an image in standard deviations from the mean, both over what is counted."""
    wide = image.astype(np.float64)
    sample = wide if counted is None or not counted.any() else wide[counted]
    spread = float(sample.std())
    return np.asarray((wide - sample.mean()) / spread if spread > 0 else np.zeros_like(wide))


def _check(given: Any, method: Any, per: Any, foreground: Any, grid: Grid) -> None:
    of_seeds = isinstance(given, Seeds)
    of_heatmaps = isinstance(given, Mapping) and all(isinstance(h, Heatmap) for h in given.values())
    if not (of_seeds or of_heatmaps):
        raise MaskError(f"What is refined are Seeds or heatmaps, not {type(given).__name__}.")
    if method is not None:
        REFINEMENTS.checked(method)
    if (method == "guided" and of_seeds) or (method == "random-walker" and not of_seeds):
        raise MaskError(
            "The random walker grows seeds and the guided filter smooths heatmaps; make seeds "
            "first, with make_seeds, or filter the heatmap they come from."
        )
    if per is not None:
        REFINED_PER.checked(per)
    if foreground is not None:
        checks.mask(foreground, "The foreground", MaskError, grid.shape)


def _check_numbers(beta: float, certainty: float, radius: float, epsilon: float) -> None:
    for name, value in (("beta", beta), ("radius", radius), ("epsilon", epsilon)):
        checks.number(value, f"The {name} of a refinement", MaskError, above=0)
    checks.number(certainty, "The certainty of a refinement", MaskError, least=0, below=1)
