"""The mean of heatmaps, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cam.errors import MaskError
from napari_cam.grid import Grid
from napari_cam.heatmap import where_predicted
from napari_cam.masks.ensembles.mean_heatmap import mean_heatmap
from napari_cam.volumes.volume import Volume
from napari_cam.volumes.writing import write_volume
from tests.masks.maps import heatmap_of

pytestmark = pytest.mark.quick

A = [[[0.0, 1.0, 0.5]], [[0.0, 0.0, 0.0]]]
B = [[[0.4, 0.0, 1.0]], [[0.2, 1.0, 0.6]]]


def maps(**of_a: Any) -> dict[str, Any]:
    return {"a": heatmap_of(A, valid=[True, False], **of_a), "b": heatmap_of(B)}


def test_equal_weights() -> None:
    mean = mean_heatmap(maps())
    np.testing.assert_allclose(mean.values, [[[0.2, 0.5, 0.75]], [[0.1, 0.5, 0.3]]], rtol=1e-6)
    assert mean.values.dtype == np.float32
    assert mean.valid.tolist() == [True, True]
    assert mean.kind == "unit"


@pytest.mark.parametrize("weights", [[3, 1], {"b": 1, "a": 3}, {"a": 0.75, "b": 0.25}])
def test_weights_are_scaled_and_found_by_name(weights: Any) -> None:
    mean = mean_heatmap(maps(), weights)
    np.testing.assert_allclose(mean.values, [[[0.1, 0.75, 0.625]], [[0.05, 0.25, 0.15]]], rtol=1e-6)
    assert [m["weight"] for m in mean.provenance["members"]] == [0.75, 0.25]


def test_units_without_evidence_can_be_skipped() -> None:
    mean = mean_heatmap(maps(), [3, 1], empty="skip")
    np.testing.assert_allclose(mean.values, [[[0.1, 0.75, 0.625]], B[1]], rtol=1e-6)


def test_where_none_has_evidence_there_is_none() -> None:
    both = [heatmap_of(A, valid=[True, False]), heatmap_of(A, valid=[True, False])]
    for empty in ("keep", "skip"):
        mean = mean_heatmap(both, empty=empty)  # type: ignore[arg-type]
        assert mean.valid.tolist() == [True, False]
        assert not mean.values[1].any()
    mean = mean_heatmap(maps(), [1, 0])
    assert mean.valid.tolist() == [True, False]


def test_only_what_all_networks_saw_is_inside() -> None:
    inside = np.ones((2, 1, 3), bool)
    inside[..., 0] = False
    mean = mean_heatmap(maps(inside=inside))
    assert np.array_equal(mean.inside, inside)
    assert not mean.values[..., 0].any()


def test_networks_that_disagree_predict_no_class() -> None:
    agree = mean_heatmap([heatmap_of(A, classes=(1, 1)), heatmap_of(B, classes=(1, 1))])
    assert where_predicted(agree).all()
    differ = mean_heatmap([heatmap_of(A, classes=(1, 1)), heatmap_of(B, classes=(1, 0))])
    assert not where_predicted(differ).any()
    classes = mean_heatmap([heatmap_of(A, classes=(1, 1)), heatmap_of(B, classes=(0, 0))])
    assert classes.class_index.tolist() == [-1, -1]
    assert not where_predicted(classes).any()


def test_signed_maps_keep_their_extremes() -> None:
    mean = mean_heatmap([heatmap_of(A, kind="signed"), heatmap_of(np.negative(B), kind="signed")])
    np.testing.assert_allclose(mean.raw_min, [-0.25, -0.5])
    np.testing.assert_allclose(mean.raw_max, [0.5, -0.1], rtol=1e-6)


def test_it_can_be_written(tmp_path: Any) -> None:
    mean = mean_heatmap(maps())
    volume = Volume(np.zeros((2, 1, 3), np.int16), mean.grid)
    assert write_volume(tmp_path / "mean.nii.gz", mean, like=volume).is_file()


@pytest.mark.parametrize(
    ("heatmaps", "weights", "said"),
    [
        ({}, None, "no heatmaps"),
        (heatmap_of(A), None, "by name or in a row"),
        ({"a": np.zeros((2, 1, 3))}, None, "by name or in a row"),
        (maps(kind="signed"), None, "'b' is unit"),
        (maps(unit_axis=None), None, "units along 0"),
        (maps(grid=Grid.plain((2, 1, 3), (2.0, 1.0, 1.0))), None, "resample one of them first"),
        (maps(), [1], "do not fit 2 heatmaps"),
        (maps(), [1, -1], "do not fit"),
        (maps(), [0, 0], "do not fit"),
        (maps(), [1, np.nan], "do not fit"),
        (maps(), ["much", 1], "are numbers"),
        (maps(), {"a": 1, "c": 1}, "weights for a, c but heatmaps a, b"),
    ],
)
def test_what_is_refused(heatmaps: Any, weights: Any, said: str) -> None:
    with pytest.raises(MaskError, match=said):
        mean_heatmap(heatmaps, weights)
