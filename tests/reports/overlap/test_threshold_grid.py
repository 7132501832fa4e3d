"""The heat map of thresholds shows the calibration's own numbers where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import MaskError
from napari_cam.masks.calibration.calibrate import calibrate
from napari_cam.masks.calibration.result import Calibration
from napari_cam.masks.ensembles.box_shapes import CentredBox
from napari_cam.reports.overlap.threshold_grid import threshold_grid
from tests.masks.maps import heatmap_of

CUTS = (0.0, 0.25, 0.5, 0.75)


def found(n_members: int) -> Calibration:
    rng = np.random.default_rng(4)
    cases = [
        {f"m{n}": heatmap_of(rng.random((2, 6, 7))) for n in range(n_members)} for _ in range(3)
    ]
    truths = [rng.random((2, 6, 7)) < 0.4 for _ in range(3)]
    boxes = {"none": None, "small": CentredBox((None, 2, 2), "pixel")}
    return calibrate(cases, truths, "abc", "or", thresholds=CUTS, boxes=boxes)


def test_two_members_are_drawn_as_the_paper_does() -> None:
    calibration = found(2)
    axes = threshold_grid(calibration).axes[0]
    shown = axes.images[0].get_array()
    place = calibration.boxes.index(calibration.oracle.box)
    np.testing.assert_array_equal(shown, calibration.fold_grids[:, place].mean(axis=0))
    assert axes.get_ylabel() == "threshold of m0"
    assert axes.get_xlabel() == "threshold of m1"
    ring = axes.lines[-1]
    m0, m1 = calibration.oracle.thresholds
    assert (CUTS[int(ring.get_ydata()[0])], CUTS[int(ring.get_xdata()[0])]) == (m0, m1)
    assert len(axes.lines) == 4  # the folds' crosses and the ring


def test_other_members_stand_at_their_best() -> None:
    calibration = found(3)
    axes = threshold_grid(calibration, ("m2", "m0"), box="small").axes[0]
    expected = calibration.training_grid[1].max(axis=1).T
    np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    assert axes.get_ylabel() == "threshold of m2"
    assert "small" in axes.get_title()


def test_a_single_member_is_a_line() -> None:
    calibration = found(1)
    axes = threshold_grid(calibration, box="none").axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), calibration.training_grid[0])


def test_unknown_names_are_refused() -> None:
    calibration = found(2)
    with pytest.raises(MaskError, match="no member 'x'"):
        threshold_grid(calibration, ("x", "m0"))
    with pytest.raises(MaskError, match="no box 'x'"):
        threshold_grid(calibration, box="x")
