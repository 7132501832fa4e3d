"""The slice on screen, cut by itself, is the slice of the whole mask, under every rule."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.masks.rules import RULES
from napari_cam.widgets.layers.cutting import MaskRequest, cut_heatmap, cut_slice
from tests.masks.test_binarize import heatmap, shuffled

TEXTS = {
    **dict.fromkeys(RULES, ()),
    "fixed": (":0.4",),
    "255": (":100",),
    "quantile": (":0.7",),
    "area": (":0.2",),
    "local-otsu": (":3", ":2:px"),
}
UNIT_RULES = [word + rest for word in RULES for rest in (TEXTS[word] or ("",))]


@pytest.mark.parametrize("rule", UNIT_RULES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_by_itself(rule: str, axis: int) -> None:
    one = heatmap(shuffled((4, 9, 12)), axis)
    request = MaskRequest(rule)
    (whole,) = cut_heatmap(one, request)
    for index in range(one.values.shape[axis]):
        shown = cut_slice(one, index, request)
        assert shown is not None
        np.testing.assert_array_equal(shown, np.take(whole.mask, index, axis=axis))
    assert whole.mask.any()


@pytest.mark.parametrize(
    "rule", ["otsu:volume", "area:0.1:volume", "yen:cohort", "quantile:0.9:cohort", "li:volume"]
)
def test_cuts_of_more_than_a_slice_wait_for_the_whole(rule: str) -> None:
    one = heatmap(shuffled((4, 9, 12)))
    assert cut_slice(one, 2, MaskRequest(rule)) is None
    (whole,) = cut_heatmap(one, MaskRequest(rule))
    assert len(set(whole.threshold["cuts"])) == 1
