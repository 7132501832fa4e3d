"""Thresholds as text, maps on other grids, and names: no window needed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.widgets.docks.reports.views.choose_pane import PRESETS
from napari_cam.widgets.docks.reports.work.aligning import SourceMap
from napari_cam.widgets.docks.reports.work.thresholds import rules_of
from tests.widgets.docks.reports.conftest import IN_P, SPACING, heatmap


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0.1..0.3", ["fixed(0.1)", "fixed(0.2)", "fixed(0.3)"]),
        ("0.2 .. 0.3 : 0.05", ["fixed(0.2)", "fixed(0.25)", "fixed(0.3)"]),
        (".5; otsu, 0.5", ["fixed(0.5)", "otsu"]),
        ("quantile:0.9:volume", ["quantile(0.9, volume)"]),
    ],
)
def test_thresholds_as_they_are_typed(text, names):
    assert [rule.name for rule in rules_of(text)] == names


@pytest.mark.parametrize("text", PRESETS)
def test_presets_are_thresholds(text):
    assert rules_of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 thresholds"),
        ("median", "'median' is no threshold rule"),
        ("0.9..0.1", "is no range"),
        ("0..1:0.0001", "is no range"),
        ("1.5", "1.5"),
        ("0.1..0.9:0", "is no range"),
    ],
)
def test_what_is_no_threshold_is_told(text, said):
    with pytest.raises(MaskError, match=said):
        rules_of(text)


def test_a_heatmap_of_a_finer_grid_comes_back_from_it():
    made = heatmap(IN_P, 0.9, "gradcam")
    coarse = made.grid
    fine_affine = coarse.affine.copy()
    fine_affine[:3, 2] /= 2  # half as wide along x
    fine_affine[0, 3] -= SPACING[2] / 4
    fine = Grid((3, 4, 12), fine_affine, None, "mm")
    twice = np.repeat(made.values, 2, axis=2)
    from dataclasses import replace

    elsewhere = replace(made, values=twice, inside=np.ones((3, 4, 12), bool), grid=fine)
    from napari_cam.volumes.regridding import index_map

    back = SourceMap(elsewhere, index_map(fine, coarse)).aligned(coarse, 0)
    np.testing.assert_allclose(back.values, made.values, atol=1e-6)
    assert back.grid is coarse
    assert back.valid.tolist() == [True, True, False]
    assert back.class_index.tolist() == [1, 1, 1]
    assert back.predicted_index.tolist() == [-1, -1, -1], "those were of other slices"
    assert back.provenance["resampled"].startswith("linear")
    mask = np.repeat(IN_P, 2, axis=2)
    back = SourceMap(mask, index_map(fine, coarse)).aligned(coarse, 0)
    np.testing.assert_array_equal(back, IN_P)
