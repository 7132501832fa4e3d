"""Overlays: every colour counts to its TP, TN, FP and FN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from napari_cam.errors import MaskError
from napari_cam.masks.counts import counts
from napari_cam.reports.page.overlay import COLOURS, colour_table, overlay_image, overlay_labels

RGB = {"tp": (47, 191, 79), "tn": (0, 0, 0), "fp": (200, 16, 46), "fn": (255, 225, 25)}


@given(arrays(bool, (3, 4, 5, 7)))
def test_colours_count_to_the_four_counts(three):
    prediction, reference, region = three
    labels = overlay_labels(prediction, reference, region)
    picture = overlay_image(labels).reshape(-1, 3)
    found = counts(prediction[region], reference[region])
    for name, colour in RGB.items():
        assert (picture == colour).all(axis=1).sum() == getattr(found, name)
    assert (picture == 255).all(axis=1).sum() == (~region).sum()


def test_codes_and_colours_belong_together():
    labels = overlay_labels(
        np.array([True, False, True, False]), np.array([True, False, False, True])
    )
    assert labels.tolist() == [1, 2, 3, 4]
    assert [each.code for each in COLOURS] == [1, 2, 3, 4]
    assert colour_table()[3] == "#C8102E"
    assert colour_table()[None] == "#00000000"


def test_only_masks_of_one_shape_are_laid_over_each_other():
    with pytest.raises(MaskError, match="one grid"):
        overlay_labels(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(MaskError, match="uint8"):
        overlay_labels(np.zeros((2, 3), bool), np.zeros((2, 3), np.uint8))
