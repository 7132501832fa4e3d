"""Refinement: the random walk against Grady's linear system, guards, grids and parameters."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.heatmap import Maps
from napari_cam.labels.classes import LabelClasses
from napari_cam.labels.seeds.guided_filter import guided_filter
from napari_cam.labels.seeds.making import make_seeds
from napari_cam.labels.seeds.random_walk import random_walk
from napari_cam.labels.seeds.refine import refine
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.volumes.volume import Volume
from tests.masks.maps import heatmap

SPACING = (2.0, 0.5, 0.75)


def by_linear_system(
    image: NDArray[Any], labels: NDArray[Any], spacing: tuple[float, ...], beta: float
) -> NDArray[np.float64]:
    """Return the probability of each class (c, *s): Grady 2006, eqs. 1 and 9, solved densely."""
    places = list(product(*(range(n) for n in image.shape)))
    index = {place: number for number, place in enumerate(places)}
    laplacian = np.zeros((len(places), len(places)))
    for place, axis in product(places, range(image.ndim)):
        other = tuple(p + (a == axis) for a, p in enumerate(place))
        if other in index:
            slope = (image[place] - image[other]) / spacing[axis]
            i, j, weight = index[place], index[other], np.exp(-beta * slope**2)
            laplacian[i, j] = laplacian[j, i] = -weight
            laplacian[i, i] += weight
            laplacian[j, j] += weight
    flat = labels.ravel()
    free, codes = flat == 0, np.unique(flat[flat > 0])
    marked = (flat[~free][:, None] == codes).astype(float)
    solved = np.linalg.solve(
        laplacian[np.ix_(free, free)], -laplacian[np.ix_(free, ~free)] @ marked
    )
    result = np.zeros((len(codes), flat.size))
    result[:, free], result[:, ~free] = solved.T, marked.T
    return result.reshape(len(codes), *labels.shape)


@pytest.mark.parametrize(("shape", "seed"), [((6, 7), 0), ((6, 7), 1), ((3, 4, 5), 2)])
def test_the_walk_solves_gradys_system(shape: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=shape)
    labels = np.zeros(shape, np.uint8)
    labels.flat[rng.choice(labels.size, 6, replace=False)] = [1, 1, 2, 2, 5, 5]
    spacing = (3.0, 1.0, 1.5)[-len(shape) :]
    expected = by_linear_system(image, labels, spacing, 1.5)
    top = np.sort(expected, axis=0)
    clear = top[-1] - top[-2] > 1e-3
    codes = np.array([1, 2, 5])[expected.argmax(axis=0)]
    for certainty in (0.0, 0.5):
        found = random_walk(image, labels, spacing, 1.5, certainty)
        sure = expected.max(axis=0)
        near = np.abs(sure - certainty) < 1e-3
        wanted = np.where(sure > certainty, codes, 0)
        assert (found == wanted)[clear & ~near].all()
        assert clear.mean() > 0.9


def test_a_walk_stops_at_an_edge() -> None:
    image = np.zeros((5, 9))
    image[:, 6:] = 3
    labels = np.zeros((5, 9), np.uint8)
    labels[2, 0], labels[2, 8] = 2, 1
    expected = np.full((5, 9), 2)
    expected[:, 6:] = 1
    assert (random_walk(image, labels, (1, 1), 3.0, 0.5) == expected).all()
    # Nothing hinders it where there is no edge: the middle lies between the two.
    bare = random_walk(image * 1e-9, labels, (1, 1), 3.0, 0.5)
    assert (bare[:, 5] == 1).all()


@pytest.mark.parametrize(
    "labels",
    [
        [[2, 0, 0, 0]],  # one class alone
        [[0, 0, 0, 0]],  # none
        [[2, 1, 1, 2]],  # nothing to decide
    ],
)
def test_what_cannot_be_decided_stays(labels: Any) -> None:
    given = np.array(labels, np.uint8)
    image = np.arange(4.0)[None]
    assert random_walk(image, given, (1, 1), 1.0, 0.5).tolist() == labels


def test_pieces_of_tissue_are_decided_by_their_own_seeds() -> None:
    labels = np.array([[2, 0, 1, 0, 2, 0, 0]], np.uint8)
    tissue = np.array([[1, 1, 1, 0, 1, 1, 1]], bool)
    image = np.array([[0.0, 0.1, 5.0, 0.0, 0.0, 1.0, 2.0]])
    found = random_walk(image, labels, (1, 1), 1.0, 0.5, tissue)
    assert found.tolist() == [[2, 2, 1, 0, 2, 0, 0]]


def test_a_flat_image_has_no_edges_to_follow() -> None:
    labels = np.array([[2, 0, 1]], np.uint8)
    assert random_walk(np.zeros((1, 3)), labels, (1, 1), 1.0, 0.5).tolist() == [[2, 0, 1]]


def scene() -> tuple[Volume, Seeds]:
    """A bright block in two of four slices, seeded in its middle; one slice has no block's seed."""
    values = np.full((4, 10, 12), 100, np.uint16)
    values[1:3, 3:7, 4:9] = 300
    values += np.random.default_rng(0).integers(0, 9, values.shape).astype(np.uint16)
    labels = np.zeros(values.shape, np.uint8)
    labels[:, 0] = labels[:, -1] = labels[:, :, 0] = 1
    labels[1:3, 5, 6] = 2
    grid = Grid.plain(values.shape, SPACING, "mm")
    return Volume(values, grid), Seeds(labels, LabelClasses.of_seeds(["block"]), grid)


def test_seeds_grow_to_the_edges_of_the_image() -> None:
    volume, seeds = scene()
    grown = refine(volume, seeds)
    expected = np.ones(volume.shape)
    expected[1:3, 3:7, 4:9] = 2
    assert (grown.labels[1:3] == expected[1:3]).all()
    assert (grown.labels[[0, 3]] == seeds.labels[[0, 3]]).all()  # one class alone
    assert grown.provenance["refined"]["method"] == "random-walker"
    assert grown.classes == seeds.classes
    whole = refine(volume, seeds, per="volume")
    assert (whole.labels == expected).all()
    tissue = np.zeros(volume.shape, bool)
    tissue[:, 2:] = True
    cut = refine(volume, seeds, foreground=tissue)
    assert (cut.labels[:, 1] == seeds.labels[:, 1]).all()
    assert (cut.labels[1:3, 2:] == expected[1:3, 2:]).all()


def test_scaling_the_image_changes_nothing() -> None:
    volume, seeds = scene()
    scaled = replace(volume, values=volume.values.astype(np.float64) * 0.01 - 7)
    assert (refine(scaled, seeds).labels == refine(volume, seeds).labels).all()


def test_millimetres_and_pixels_walk_alike_and_thick_slices_do_not() -> None:
    volume, seeds = scene()
    doubled = Grid.plain(volume.shape, (4.0, 1.0, 1.5), "mm")
    again = refine(replace(volume, grid=doubled), replace(seeds, grid=doubled), per="volume")
    assert (again.labels == refine(volume, seeds, per="volume").labels).all()


def test_what_was_explained_is_what_is_refined() -> None:
    volume, _ = scene()
    values = np.zeros(volume.shape)
    values[1, 4:6, 5:8] = 1
    slices = make_seeds(heatmap(values, 0, grid=volume.grid), 0.5, 0.0)
    whole = make_seeds(heatmap(values, None, grid=volume.grid), 0.5, 0.0)
    assert refine(volume, slices).provenance["refined"]["per"] == "slice"
    assert refine(volume, whole).provenance["refined"]["per"] == "volume"


def test_a_heatmap_is_filtered_slice_by_slice_in_millimetres() -> None:
    volume, _ = scene()
    values = np.random.default_rng(1).uniform(size=volume.shape).astype(np.float32)
    inside = np.ones(volume.shape, bool)
    inside[:, :, 10:] = False
    made = heatmap(values * inside, grid=volume.grid, inside=inside, valid=[1, 1, 0, 1])
    found = refine(volume, made, radius=1.6, epsilon=0.2)
    # 1.6 mm are 3 voxels of 0.5 mm and 2 of 0.75 mm.
    for z in (0, 1, 3):
        image = volume.values[z].astype(np.float64)
        guide = (image - image[:, :10].mean()) / image[:, :10].std()
        expected = guided_filter(guide, made.values[z].astype(float), (3, 2), 0.2, inside[z])
        assert np.allclose(found.values[z], np.clip(expected, 0, 1), atol=1e-6)
    assert not found.values[2].any()
    assert not found.values[:, :, 10:].any()
    assert found.provenance["refined"]["radius"] == 1.6
    maps = refine(volume, Maps({"a": made}), radius=1.6, epsilon=0.2)
    assert (maps["a"].values == found.values).all()
    whole = refine(volume, made, per="volume", radius=2.0)
    assert not np.allclose(whole.values, refine(volume, made, radius=2.0).values)


def test_channels_are_averaged() -> None:
    volume, seeds = scene()
    pair = np.stack([volume.values * 2.0, np.zeros(volume.shape)])
    both = Volume(pair, volume.grid, channel_names=("a", "b"))
    assert (refine(both, seeds).labels == refine(volume, seeds).labels).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "crf"}, "one of random-walker, guided"),
        ({"method": "guided"}, "make_seeds"),
        ({"given": np.zeros((4, 10, 12))}, "ndarray"),
        ({"given": heatmap(np.zeros((4, 10, 12))), "method": "random-walker"}, "make_seeds"),
        ({"given": heatmap(np.zeros((4, 10, 11)))}, "The heatmap lies on .* but the volume on"),
        ({"per": "unit"}, "one of slice, volume"),
        ({"beta": 0}, "beta"),
        ({"epsilon": -1}, "epsilon"),
        ({"radius": float("nan")}, "radius"),
        ({"certainty": 1}, "certainty"),
        ({"foreground": np.ones((4, 10, 11), bool)}, r"\(4, 10, 12\)"),
        ({"foreground": np.ones((4, 10, 12))}, "boolean"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], said: str) -> None:
    volume, seeds = scene()
    with pytest.raises(MaskError, match=said):
        refine(**{"volume": volume, "given": seeds, **changed})


def test_seeds_of_another_grid_are_refused() -> None:
    volume, seeds = scene()
    elsewhere = Grid.plain(volume.shape, (1.0, 1.0, 1.0), "mm")
    with pytest.raises(MaskError, match="resample one of them first"):
        refine(volume, replace(seeds, grid=elsewhere))
