"""The consensus of masks, typed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_cam.errors import MaskError
from napari_cam.masks.binarize import binarize
from napari_cam.masks.ensembles.agreement_map import consensus
from tests.masks.maps import heatmap_of

pytestmark = pytest.mark.quick


def test_shares_and_spread_of_four_masks() -> None:
    votes = [0, 1, 2, 3, 4]
    masks = {
        f"m{n}": np.array([v > n for v in votes]).reshape(1, 5, 1).repeat(3, axis=2)
        for n in range(4)
    }
    found = consensus(masks)
    np.testing.assert_array_equal(found.share[0, :, 1], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(found.spread[0, :, 1], [0, 0.75, 1, 0.75, 0])
    assert found.share.dtype == found.spread.dtype == np.float32
    assert found.disputed[0, :, 0].tolist() == [False, True, True, True, False]
    assert found.members == ("m0", "m1", "m2", "m3")
    assert found.grid is None


def test_the_spread_is_the_variance_of_the_votes() -> None:
    masks = np.random.default_rng(1).random((5, 3, 4, 6)) < 0.4
    found = consensus(list(masks))
    np.testing.assert_allclose(found.spread, 4 * masks.var(axis=0), atol=1e-6)
    # Members that agree leave no spread, though each thirds of a vote is rounded.
    assert not consensus([masks[0]] * 3 + [masks[0]] * 4).disputed.any()


def test_masks_of_heatmaps_bring_their_grid_and_record() -> None:
    maps = {"a": heatmap_of(np.full((2, 3, 4), 0.7)), "b": heatmap_of(np.full((2, 3, 4), 0.2))}
    found = consensus(binarize(maps, "fixed:0.5"))
    assert found.grid is maps["a"].grid
    assert (found.share == 0.5).all()
    facts = json.loads(json.dumps(found.provenance))
    assert facts["kind"] == "consensus"
    assert [member["name"] for member in facts["members"]] == ["a", "b"]


def test_nothing_agrees_with_nothing() -> None:
    with pytest.raises(MaskError, match="no masks"):
        consensus({})
