"""Cohorts on disk: whose maps are whose, what they are called, and tables that go wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from napari_cam.errors import NapariCamError, ReportError
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.files.label_image import LabelImage
from napari_cam.reports.association.measurement_files import read_measurements
from napari_cam.reports.cases.case_files import read_mask
from napari_cam.reports.cases.case_folders import folder_cases
from napari_cam.reports.cases.case_table import read_cases, read_table
from napari_cam.reports.overlap.report import reference_report
from tests.reports.heatmaps import SHAPE, blob, heatmap, noise

NAMES = ("Doe^John", "Roe^Jane")
QUICK = {"thresholds": "fixed:0.5", "resamples": 20}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two subjects, each with Grad-CAM for two classes and a reference."""
    folder = tmp_path_factory.mktemp("study")
    blank = folder / "blank.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE[::-1], np.uint8), np.diag([0.8, 0.5, 3, 1])), blank)
    like = nc.read_volume(blank)
    for k, name in enumerate(NAMES):
        (folder / name).mkdir()
        for place, target in enumerate(("healthy", "damaged")):
            facts = {"kind": "heatmap", "method": {"name": "gradcam"}, "layer": "layer4"}
            facts |= {"model": {"architecture": "resnet18"}, "target": target}
            item = replace(heatmap(noise(10 * k + place)), grid=like.grid, provenance=facts)
            nc.write_volume(folder / name / f"map-{place}.nii.gz", item, like=like)
        nc.write_volume(folder / name / "reference.nii.gz", blob(k), like=like)
    nc.write_volume(folder / "shares.nii.gz", noise(5), like=like)
    return folder


def test_maps_of_two_targets_are_told_apart_without_their_paths(study, tmp_path):
    report = reference_report(folder_cases([study]), **QUICK)
    names = set(report.select(level="cohort")["method_a"])
    assert names == {"gradcam", "gradcam / damaged"}
    means = report.select(level="cohort", metric="iou_foreground_unit_mean", scored="all")
    # Both subjects count: their maps have one name.
    assert means.loc[means["threshold_a"] == "fixed(0.5)", "n"].tolist() == [2 * SHAPE[0]] * 2
    page = report.save(tmp_path / "r")
    for path in page.parent.rglob("*.*"):
        text = path.read_bytes()
        assert str(study).encode() not in text
        if path.name != "table.csv":  # subjects stand in tables alone
            assert path.name == "report.json" or b"Doe" not in text
    assert "Doe" not in str(report.provenance)


def test_folders_of_one_name_are_no_one_subject(study, tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "maps").symlink_to(study / name, target_is_directory=True)
    assert len(list(folder_cases([study / name for name in NAMES]))) == 2
    other = tmp_path / "other" / NAMES[0]
    other.parent.mkdir()
    other.mkdir()
    for path in (study / NAMES[1]).iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ReportError, match="have one name"):
        list(folder_cases([study / NAMES[0], other]))


def rows(study, *lines, head="heatmap,subject,reference"):
    path = study / "cohort.csv"
    path.write_text("\n".join([head, *lines]))
    return path


def test_shares_in_a_file_stay_shares(study):
    (case,) = read_cases(rows(study, "Doe^John/map-0.nii.gz,s,shares.nii.gz"))
    assert case.reference_values() == pytest.approx(noise(5))
    # A label of a file of labels, and a file of whole numbers, are masks.
    (case,) = read_cases(rows(study, "Doe^John/map-0.nii.gz,s,Doe^John/reference.nii.gz:1"))
    assert np.array_equal(case.reference_values(), blob(0))


@pytest.mark.parametrize(
    ("lines", "head", "message"),
    [
        ([",s,"], None, "Row 1 .* nothing under 'heatmap'"),
        (["a.nii,s,", "b.nii,,"], None, "Row 2 .* nothing under 'subject'"),
        (["a.nii,s,r.nii,"], None, "more cells than"),
        (["a.nii,s,", "a.nii,s,r.nii,x"], None, "cannot be read as a table|more cells than"),
        (["a.nii,s,nowhere.nii"], "heatmap,subject,image", "nowhere.nii does not exist"),
        (["a.nii;s"], "heatmap;subject", "no column 'heatmap'"),
    ],
)
def test_a_table_that_goes_wrong_is_named(study, lines, head, message):
    path = rows(study, *lines, **({} if head is None else {"head": head}))
    with pytest.raises(NapariCamError, match=message):
        list(read_cases(path))


def test_a_column_too_many_shifts_nothing(tmp_path):
    path = Path(tmp_path / "m.csv")
    path.write_text("subject,loss\nA,3.5,\nB,4,\n")
    with pytest.raises(ReportError, match="more cells than"):
        read_measurements(path, "loss")
    path.write_text("subject,loss\nA,3.5\nB\n")
    assert read_table(path)["loss"].tolist()[0] == "3.5"


@pytest.mark.parametrize("name", ["drawn.nii.gz", "drawn.ome.tif", "drawn.seg.nrrd"])
def test_the_background_of_seeds_is_no_reference(study, tmp_path, name):
    like = nc.read_volume(study / NAMES[0] / "reference.nii.gz")
    labels = np.random.default_rng(6).integers(0, 4, SHAPE).astype(np.uint8)
    classes = LabelClasses(
        tuple(
            LabelClass(code, word, colour)
            for code, word, colour in (
                (1, "background", "#0072B2"),
                (2, "gaping", "#D55E00"),
                (3, "blood", "#CC79A7"),
            )
        )
    )
    for kind, marked in (("seeds", labels > 1), ("labels", labels > 0)):
        drawn = LabelImage(labels, classes, like.grid, kind)
        (tmp_path / kind).mkdir()
        nc.export_labels(tmp_path / kind / name, drawn, like)
        found = read_mask(str(tmp_path / kind / name), "reference")
        np.testing.assert_array_equal(found.values, marked)
        assert found.grid.same_as(like.grid, within=1e-4)
        only = read_mask(f"{tmp_path / kind / name}:3", "reference")
        np.testing.assert_array_equal(only.values, labels == 3)
