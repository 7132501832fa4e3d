"""The share of a subject's foreground that a map marks."""

from __future__ import annotations

import numpy as np
import pytest

import napari_cam as nc
from napari_cam.errors import ReportError
from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.reports.association.shares import mask_shares, reference_shares, subject_shares
from napari_cam.reports.cases.case import Case


def heatmap(values, valid=None, inside=None, unit_axis=0, **provenance):
    """Return a heatmap of (3, 4, 5) values, its record as given."""
    values = np.asarray(values, np.float32)
    u = 1 if unit_axis is None else values.shape[unit_axis]
    return Heatmap(
        values=values,
        kind="unit",
        raw_min=np.zeros(u, np.float32),
        raw_max=np.ones(u, np.float32),
        valid=np.ones(u, bool) if valid is None else np.asarray(valid),
        class_index=np.ones(u, np.int64),
        predicted_index=np.ones(u, np.int64),
        score=np.ones(u, np.float32),
        inside=np.ones(values.shape, bool) if inside is None else inside,
        unit_axis=unit_axis,
        grid=Grid(values.shape, np.eye(4), "RAS"),
        provenance=provenance,
    )


def three_slices():
    """20 voxels a slice, of which 0.5 lies at 5 and 0.8 at 10, 0 and 4 of them."""
    values = np.zeros((3, 20), np.float32)
    values[:, :5] = 0.5
    for z, n in enumerate((10, 0, 4)):
        values[z, 5 : 5 + n] = 0.8
    return values.reshape(3, 4, 5)


def test_shares_by_hand():
    found = mask_shares({"a": heatmap(three_slices())}, (0.4, 0.5))
    by = found.set_index(["threshold", "unit"])["share"]
    assert by["fixed(0.4)"].tolist() == [0.75, 0.25, 0.45]
    assert by["fixed(0.5)"].tolist() == [0.5, 0, 0.2]
    assert set(found["voxels"]) == {20}


def test_a_value_at_the_cut_counts_only_where_asked():
    found = mask_shares({"a": heatmap(three_slices())}, 0.5, strict=False)
    assert found["share"].tolist() == [0.75, 0.25, 0.45]


def test_only_foreground_counts_and_slices_without_any_have_no_share():
    foreground = np.zeros((3, 4, 5), bool)
    foreground[0, 1] = True  # five voxels, all above
    foreground[2] = True
    found = mask_shares({"a": heatmap(three_slices())}, 0.5, {"a": foreground})
    assert found[["unit", "share", "voxels"]].to_numpy().tolist() == [[0, 1.0, 5], [2, 0.2, 20]]
    units = subject_shares(found)
    assert units["share"].tolist() == [pytest.approx(0.6)]
    assert units["units"].tolist() == [2]
    voxels = subject_shares(found, "voxels")
    assert voxels["share"].tolist() == [pytest.approx((5 + 4) / 25)]


def test_slices_without_evidence_claim_nothing_and_unexplained_ones_are_left_out():
    inside = np.ones((3, 4, 5), bool)
    inside[1] = False
    found = mask_shares(
        {"a": heatmap(three_slices(), valid=[False, True, True], inside=inside)}, 0.5
    )
    assert found[["unit", "share"]].to_numpy().tolist() == [[0, 0], [2, 0.2]]


def test_a_volume_is_one_unit():
    found = mask_shares({"a": heatmap(three_slices(), unit_axis=None)}, 0.5)
    assert found["share"].tolist() == [pytest.approx(14 / 60)]


def test_names_come_from_the_key_or_else_from_the_record():
    record = {"method": {"name": "gradcam"}, "model": {"architecture": "vgg16"}, "layer": "f.28"}
    one = heatmap(three_slices(), **record)
    names = mask_shares({"s": {("hirescam", "net 2"): one, "mine": one}})
    assert names[["method", "backbone", "layer"]].drop_duplicates().to_numpy().tolist() == [
        ["hirescam", "net 2", ""],
        ["gradcam", "vgg16", "f.28"],
    ]
    cases = [Case({"mine": one}, subject="s", foreground=np.ones((3, 4, 5), bool))]
    assert mask_shares(cases)["share"].tolist() == mask_shares({"s": one})["share"].tolist()
    assert mask_shares({"s": one})["method"].unique().tolist() == ["gradcam"]


def test_masks_are_measured_the_same_way():
    truth = three_slices() > 0.5
    foreground = np.ones((3, 4, 5), bool)
    foreground[1] = False
    found = reference_shares({"a": truth}, {"a": foreground})
    assert found["share"].tolist() == [0.5, 0.2]
    assert found["method"].unique().tolist() == ["reference"]


def test_what_does_not_fit_is_refused():
    one = heatmap(three_slices())
    with pytest.raises(ReportError, match="no foreground"):
        mask_shares({"a": one}, foreground={"b": np.ones((3, 4, 5), bool)})
    with pytest.raises(ReportError, match="resample"):
        mask_shares({"a": one}, foreground={"a": np.ones((3, 4, 4), bool)})
    with pytest.raises(ReportError, match="a mask where a heatmap"):
        mask_shares({"a": np.ones((3, 4, 5), bool)})
    with pytest.raises(ReportError, match="No threshold"):
        mask_shares({"a": one}, ())
    with pytest.raises(ReportError, match="not booleans"):
        reference_shares({"a": three_slices()})
    with pytest.raises(ReportError, match="'units' or 'voxels'"):
        subject_shares(mask_shares({"a": one}), "slices")


def test_former_names_work_and_warn():
    one, truth = heatmap(three_slices()), three_slices() > 0.5
    with pytest.warns(DeprecationWarning, match="use mask_shares"):
        found = nc.damage_fractions({"a": one}, (0.4, 0.5))
    shares = mask_shares({"a": one}, (0.4, 0.5))
    assert found.rename(columns={"damage": "share"}).equals(shares)
    with pytest.warns(DeprecationWarning, match="use reference_shares"):
        found = nc.mask_fractions({"a": truth})
    assert found["damage"].tolist() == reference_shares({"a": truth})["share"].tolist()


def test_thresholds_of_one_name_are_refused():
    with pytest.raises(ReportError, match=r"called fixed\(0.123457\)"):
        mask_shares({"a": heatmap(three_slices())}, (0.1234567, 0.1234568))


def test_a_cut_of_a_cohort_is_refused():
    with pytest.raises(ReportError, match="one cut from all heatmaps"):
        mask_shares({"a": heatmap(three_slices())}, "otsu:cohort")
