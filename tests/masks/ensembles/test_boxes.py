"""Box filters against pixels counted by hand, on even and odd grids of uneven spacing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.masks.binarize import binarize
from napari_cam.masks.ensembles.box_shapes import CentredBox, Polygons, WithoutBand
from napari_cam.masks.ensembles.boxes import BoxFilter, Within, box_facts, box_mask
from tests.masks.maps import heatmap_of

pytestmark = pytest.mark.quick

GRID = Grid.plain((4, 10, 13), (3.0, 0.5, 0.25), "mm")


def kept(box: BoxFilter, axis: int, grid: Grid = GRID) -> list[int]:
    """Return the indices along an axis at which anything is kept."""
    across = tuple(other for other in range(3) if other != axis)
    return np.flatnonzero(box.inside(grid).any(axis=across)).tolist()


@pytest.mark.parametrize(
    ("size", "unit", "rows", "columns"),
    [
        ((None, 4, 5), "pixel", [3, 4, 5, 6], [4, 5, 6, 7, 8]),
        ((None, 5, 4), "pixel", [2, 3, 4, 5, 6], [4, 5, 6, 7]),
        ((None, 2.0, 1.25), "mm", [3, 4, 5, 6], [4, 5, 6, 7, 8]),
        ((None, 0.4, 5 / 13), "share", [3, 4, 5, 6], [4, 5, 6, 7, 8]),
        ((None, 1, 1), "share", list(range(10)), list(range(13))),
        ((None, 99, 0.2), "mm", list(range(10)), [6]),
    ],
)
def test_a_centred_box(size: Any, unit: Any, rows: list[int], columns: list[int]) -> None:
    box = CentredBox(size, unit)
    assert kept(box, 0) == [0, 1, 2, 3]
    assert kept(box, 1) == rows
    assert kept(box, 2) == columns
    assert box.inside(GRID).sum() == 4 * len(rows) * len(columns)


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("k", [1, 2, 3, 6, 7])
def test_k_pixels_are_k_pixels(n: int, k: int) -> None:
    grid = Grid.plain((n, n, n), (0.1, 0.3, 0.7), "mm")
    assert CentredBox((k, k, k), "pixel").inside(grid).sum() == k**3
    sizes = (0.1 * k, 0.3 * k, 0.7 * k)
    assert CentredBox(sizes, "mm").inside(grid).sum() == k**3
    assert CentredBox((k / n,) * 3, "share").inside(grid).sum() == k**3


def test_a_box_off_the_middle() -> None:
    box = CentredBox((6.0, 2.0, None), "mm", offset=(3.0, -1.0, 0.0))
    assert kept(box, 0) == [2, 3]
    assert kept(box, 1) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("band", "rows"),
    [
        (WithoutBand(1, unit="pixel"), [0, 1, 2, 3, 5, 6, 7, 8, 9]),
        (WithoutBand(2, unit="pixel"), [0, 1, 2, 3, 6, 7, 8, 9]),
        (WithoutBand(2, 3, unit="pixel"), [0, 1, 2, 3, 4, 5, 6, 9]),
        (WithoutBand(1.0, unit="mm"), [0, 1, 2, 3, 6, 7, 8, 9]),
        (WithoutBand(1.0, -1.5, unit="mm"), [0, 3, 4, 5, 6, 7, 8, 9]),
        (WithoutBand(0.2, 0.3, unit="share"), [0, 1, 2, 3, 4, 5, 6, 9]),
    ],
)
def test_a_horizontal_band(band: BoxFilter, rows: list[int]) -> None:
    assert kept(band, 1) == rows
    assert band.inside(GRID).sum() == 4 * len(rows) * 13


def test_a_vertical_band() -> None:
    # The line's distance counts towards lower columns.
    band = WithoutBand(3, 2, angle=90, unit="pixel")
    assert kept(band, 2) == [0, 1, 2, 6, 7, 8, 9, 10, 11, 12]


def test_a_slanted_band_follows_its_line() -> None:
    grid = Grid.plain((2, 9, 9))
    removed = ~WithoutBand(0.5, angle=45, unit="pixel").inside(grid)
    assert np.array_equal(removed[1], np.eye(9, dtype=bool))
    # In millimetres the same angle runs one row down for two columns across.
    fine = Grid.plain((2, 9, 9), (1.0, 1.0, 0.5), "mm")
    removed = ~WithoutBand(0.3, angle=45, unit="mm").inside(fine)
    assert np.argwhere(removed[0]).tolist() == [[2, 0], [3, 2], [4, 4], [5, 6], [6, 8]]


def test_slices_along_another_axis() -> None:
    # In sagittal slices (axis 2) rows are z and columns y.
    assert kept(WithoutBand(1, unit="pixel", axis=2), 0) == [0, 2, 3]
    assert kept(WithoutBand(1, angle=90, unit="pixel", axis=2), 1) == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_a_mask_or_labels() -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1, 2:4, 5] = 3
    assert np.array_equal(Within(labels).inside(GRID), labels == 3)
    assert Within(labels, "lesion").facts() == {"kind": "within", "name": "lesion", "voxels": 2}
    labels[:] = 1
    assert Within(labels > 0).inside(GRID).all()


def test_a_drawn_polygon_lies_in_its_slice() -> None:
    triangle = [(2.0, 0.6, 0.6), (2.0, 0.6, 5.2), (2.0, 5.2, 0.6)]
    inside = Polygons([triangle]).inside(GRID)
    # Centres with row + column < 5.8, from 1 on.
    rows, columns = np.indices((10, 13))
    expected = (rows >= 1) & (columns >= 1) & (rows + columns < 5.8)
    assert np.array_equal(inside[2], expected)
    assert inside.sum() == expected.sum() == 10
    through = Polygons([triangle], all_slices=True).inside(GRID)
    assert (through == expected).all()
    flat = Polygons([[corner[1:] for corner in triangle]]).inside(GRID)
    assert np.array_equal(flat, through)


def test_polygons_add_up_and_may_leave_the_image() -> None:
    square = [(0, -4.5, -4.5), (0, -4.5, 2.5), (0, 2.5, 2.5), (0, 2.5, -4.5)]
    other = [(0, 6.5, 8.5), (0, 6.5, 40.0), (0, 8.5, 40.0), (0, 8.5, 8.5)]
    beyond = [(9, 0, 0), (9, 5, 0), (9, 0, 5)]
    inside = Polygons([square, other, beyond]).inside(GRID)
    assert inside.sum() == inside[0].sum() == 9 + 2 * 4


def test_polygons_in_coronal_slices() -> None:
    square = [(-0.5, 3, 1.5), (2.5, 3, 1.5), (2.5, 3, 4.5), (-0.5, 3, 4.5)]
    inside = Polygons([square], axis=1).inside(GRID)
    assert inside[:3, 3, 2:5].all()
    assert inside.sum() == 9


def test_filters_combine() -> None:
    box, band = CentredBox((None, 4, 5), "pixel"), WithoutBand(2, unit="pixel")
    tissue = Within(np.indices(GRID.shape)[2] < 6)
    both = (box & band & tissue).inside(GRID)
    assert np.argwhere(both[0]).tolist() == [[3, 4], [3, 5], [6, 4], [6, 5]]
    assert np.array_equal((box & ~tissue).inside(GRID), box.inside(GRID) & ~tissue.inside(GRID))
    assert np.array_equal((box | tissue).inside(GRID), box.inside(GRID) | tissue.inside(GRID))


def test_a_box_is_the_foreground_of_binarize() -> None:
    box = CentredBox((None, 4, 5), "pixel")
    values = np.random.default_rng(0).random(GRID.shape)
    mask = binarize(heatmap_of(values, grid=GRID), "quantile:0.75", foreground=box.inside(GRID))
    assert mask["mask"].sum(axis=(1, 2)).tolist() == [5] * 4  # a quarter of 20
    assert not mask["mask"][~box.inside(GRID)].any()


def test_parameters_are_recorded() -> None:
    triangle = [(1.5, 0.5), (1.5, 4.0), (6.0, 0.5)]
    box = CentredBox((None, 4, 5.5), "pixel") & ~(WithoutBand(2.0, angle=90) | Polygons([triangle]))
    assert json.loads(json.dumps(box_facts(box))) == {
        "kind": "and",
        "parts": [
            {"kind": "centred box", "size": [None, 4, 5.5], "unit": "pixel", "offset": [0, 0, 0]},
            {
                "kind": "not",
                "parts": [
                    {
                        "kind": "or",
                        "parts": [
                            {
                                "kind": "without a band",
                                "width": 2,
                                "position": 0,
                                "angle": 90,
                                "unit": "mm",
                                "axis": 0,
                            },
                            {
                                "kind": "polygons",
                                "corners": [[[None, *corner] for corner in triangle]],
                                "axis": 0,
                                "all_slices": False,
                            },
                        ],
                    }
                ],
            },
        ],
    }
    assert box_facts(np.ones((2, 2, 2), bool)) == {"kind": "within", "name": "box", "voxels": 8}
    assert box_facts(None) is None
    assert box_mask(None, GRID) is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CentredBox((1, 2)), "three numbers"),  # type: ignore[arg-type]
        (lambda: CentredBox("abc"), "three numbers"),  # type: ignore[arg-type]
        (lambda: CentredBox((1, 0, 2)), "positive or None"),
        (lambda: CentredBox((1, "wide", 2)), "are finite numbers"),  # type: ignore[arg-type]
        (lambda: CentredBox((1, np.inf, 2)), "finite"),
        (lambda: CentredBox((1, 2, 3), "inch"), "one of mm, pixel, share"),  # type: ignore[arg-type]
        (lambda: WithoutBand(0), "positive width"),
        (lambda: WithoutBand(1, axis=3), "axis 0, 1 or 2"),
        (lambda: WithoutBand(1, angle=np.nan), "finite"),
        (lambda: Within(np.ones((2, 3))), "booleans"),
        (lambda: Within(np.ones((2, 3, 4))), "values > 0"),
        (lambda: Within(np.ones((2, 3, 4), bool)).inside(GRID), "shape"),
        (lambda: Polygons([]), "no polygon"),
        (lambda: Polygons([[(0, 0), (1, 1)]]), "three corners"),
        (lambda: Polygons([[(0, 0, 0), (1, 0, 1), (2, 2, 2)]]), "slices 0 to 2"),
        (lambda: Polygons([[(0, np.nan), (1, 1), (0, 2)]]), "not a finite"),
        (lambda: Polygons([[(0, 0), (1, 1), (0, 2)]], axis=5), "axis 0, 1 or 2"),
        (lambda: box_mask(np.ones((4, 10, 13)), GRID), "not float64"),  # type: ignore[arg-type]
        (lambda: box_mask("tissue", GRID), "not str"),  # type: ignore[arg-type]
        (lambda: CentredBox((1, 2, 3)).inside(Grid.plain((2, 3, 4))), "no voxel size"),
        (lambda: WithoutBand(1.0).inside(Grid.plain((2, 3, 4))), "no voxel size"),
    ],
)
def test_what_is_refused(make: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        make()
