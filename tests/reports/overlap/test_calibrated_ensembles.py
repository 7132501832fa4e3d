"""Ensembles and floors in a report: counted by scikit-learn, and the papers' own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

import napari_cam as nc
from napari_cam.reports.cases.case import Case
from napari_cam.reports.overlap.report import reference_report
from tests.reports.heatmaps import SHAPE, blob, heatmap, noise

CUTS = (0.2, 0.4, 0.6)


def cases(n=4):
    return [
        Case(
            {
                ("gradcam", "resnet34"): heatmap(noise(k)),
                ("gradcam", "resnet50"): heatmap(noise(k + 9)),
            },
            blob(k, 0.1),
            subject=f"s{k}",
        )
        for k in range(n)
    ]


@pytest.fixture(scope="module")
def calibrations():
    members = [{name[1]: item for name, item in case.maps.items()} for case in cases()]
    references = [case.reference for case in cases()]
    groups = [case.subject for case in cases()]
    return {
        operator: nc.calibrate(members, references, groups, operator, thresholds=CUTS, folds=2)
        for operator in ("and", "or")
    }


@pytest.fixture(scope="module")
def report(calibrations):
    return reference_report(
        cases(), thresholds=["fixed:0.4", "fixed:0.6"], resamples=50, ensembles=calibrations
    )


def one(report, **where):
    (value,) = report.select(**where)["value"]
    return value


def test_floors_are_what_nothing_and_everything_reach(report):
    truth = np.concatenate([case.reference.ravel() for case in cases()])
    for name, mask in (("nothing", np.zeros_like(truth)), ("everything", np.ones_like(truth))):
        where = {"level": "baseline", "method_a": f"floor: {name}"}
        both = one(report, metric="iou_pooled_background_foreground_mean", **where)
        assert both == pytest.approx(jaccard_score(truth, mask, average="macro"))
        dsc = one(report, metric="dice_of_iou_pooled_background_foreground_mean", **where)
        assert dsc == pytest.approx(2 * both / (1 + both))
        iou = one(report, metric="iou_foreground_unit_mean", **where)
        by_unit = [case.reference.mean((1, 2)) if name == "everything" else 0 for case in cases()]
        assert iou == pytest.approx(np.mean(by_unit))
    nothing = one(
        report,
        level="baseline",
        method_a="floor: nothing",
        metric="iou_pooled_background_foreground_mean",
    )
    assert nothing == pytest.approx((1 - truth.mean()) / 2)  # half of the background's IoU


def test_ensembles_stand_in_the_report_out_of_fold(report, calibrations):
    (table,) = [each for each in report.tables if each.title == "Ensembles"]
    cells = table.cells()
    assert cells[""].tolist()[-4:] == ["and", "and", "or", "or"]
    assert {"floor: empty", "floor: full"} <= set(cells[""])
    for name, each in calibrations.items():
        for chosen, scores in (("out-of-fold", each.out_of_fold), ("oracle", each.oracle.scores)):
            found = one(
                report,
                level="ensemble",
                method_a=name,
                threshold_a=chosen,
                metric="iou_pooled_foreground",
            )
            assert found == scores["iou_pooled_foreground"]
    m, dsc = cells["m, mean of both IoU"].astype(float), cells["2m/(1+m)"].astype(float)
    assert dsc.to_numpy() == pytest.approx(2 * m / (1 + m), abs=2e-3)


def test_the_grids_of_thresholds_are_drawn(report, tmp_path):
    figures = [each for each in report.figures if each.name == "threshold-grid"]
    assert [each.title for each in figures] == [
        "and: thresholds of its members",
        "or: thresholds of its members",
    ]
    axes = figures[0].draw().axes[0]
    assert axes.images[0].get_array().shape == (len(CUTS), len(CUTS))
    page = report.save(tmp_path / "r").read_text(encoding="utf-8")
    assert "2m/(1+m)" in page


def test_no_other_number_changes(report):
    plain = reference_report(cases(), thresholds=["fixed:0.4", "fixed:0.6"], resamples=50)
    own = report.table[report.table["level"] != "ensemble"]
    assert own["value"].to_numpy() == pytest.approx(plain.table["value"].to_numpy(), nan_ok=True)
    assert len(plain.figures) == len(report.figures) - 2


def test_the_deviation_is_that_of_the_units(report):
    mask = [case.maps["gradcam", "resnet34"].values > np.float32(0.4) for case in cases()]
    values = [
        jaccard_score(case.reference[z].ravel(), each[z].ravel())
        for case, each in zip(cases(), mask, strict=True)
        for z in range(SHAPE[0])
    ]
    where = {"level": "cohort", "scored": "all", "backbone_a": "resnet34"}
    found = one(report, metric="iou_foreground_unit_sd", threshold_a="fixed(0.4)", **where)
    assert found == pytest.approx(np.std(values, ddof=1))
    (table,) = [each for each in report.tables if each.title == "IoU by threshold"]
    cell = table.cells().set_index("map").loc["resnet34 / gradcam", "fixed(0.4)"]
    assert cell == f"{np.mean(values):.3f} ({np.std(values, ddof=1):.3f})"
