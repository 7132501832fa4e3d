"""Cohorts in which something is missing, empty or all the same: a report comes out, or a sentence.

What is undefined stands there as undefined; nothing is left out because of it.
"""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.errors import NapariCamError, ReportError
from napari_cam.grid import Grid
from napari_cam.reports.agreement.report import agreement_report
from napari_cam.reports.cases.case import Case
from napari_cam.reports.overlap.report import reference_report
from tests.reports.heatmaps import SHAPE, SPACING, blob, heatmap, noise

NOTHING = np.zeros(SHAPE, bool)
FLAT = np.zeros(SHAPE, np.float32)
QUICK = {"resamples": 20, "thresholds": ["fixed:0.3", "fixed:0.5", "fixed:0.9"]}


def overlap(*cases, **more):
    return reference_report(list(cases), **(QUICK | more))


def shown(report):
    """Return the summary, every figure having been drawn."""
    for figure in report.figures:
        figure.draw().canvas.draw()
    return report.summary()


def table_of(report, title):
    (found,) = [each for each in report.tables if each.title.startswith(title)]
    return found.cells()


def test_neither_map_nor_reference_holds_anything():
    report = overlap(Case(heatmap(FLAT, valid=[False] * 4), NOTHING))
    shown(report)
    assert set(table_of(report, "IoU by threshold")["fixed(0.5)"]) == {"–"}
    assert report.undefined["iou_foreground"] > 0
    row = report.select(level="cohort", metric="iou_foreground_unit_mean", scored="all").iloc[0]
    assert (row["n"], row["undefined"]) == (0, 4)


def test_a_threshold_at_which_both_are_empty_keeps_its_column():
    report = overlap(Case(heatmap(0.5 * noise(1)), NOTHING))
    shown(report)
    columns = table_of(report, "IoU by threshold").iloc[0]
    assert (columns["fixed(0.3)"], columns["fixed(0.9)"]) == ("0.000 (0.000)", "–")


def test_no_unit_is_classified_rightly():
    report = overlap(Case(heatmap(noise(1), predicted=[0] * 4), blob(1)))
    shown(report)
    row = table_of(report, "IoU of correctly").iloc[0]
    assert (row["correct only"], row["n correct"], row["n"]) == ("–", "0", "4")


def test_a_class_whose_overlap_is_undefined_keeps_its_column():
    report = overlap(
        Case(heatmap(noise(1)), blob(1), subject="a", class_name="A"),
        Case(heatmap(FLAT, valid=[False] * 4), NOTHING, subject="b", class_name="B"),
    )
    shown(report)
    row = table_of(report, "IoU by class").iloc[0]
    assert row["B"] == "–"
    assert row["A"] == row["mean of classes"] != "–"


def test_masks_of_which_only_some_lie_in_space():
    report = overlap(
        Case({"m": blob(1)}, blob(2), subject="a", grid=Grid.plain(SHAPE, SPACING, "mm")),
        Case({"m": blob(1)}, blob(2), subject="b"),
    )
    rows = report.select(metric="hd95", level="subject").set_index("subject")["value"]
    assert rows["a"] > 0
    assert np.isnan(rows["b"])
    mean = report.select(metric="hd95_volume_mean", level="cohort").iloc[0]
    assert mean["value"] == rows["a"]
    assert (mean["n"], mean["undefined"]) == (1, 1)


def test_no_surfaces_are_measured_where_none_are_asked_for():
    case = Case({"m": blob(1)}, blob(2), grid=Grid.plain(SHAPE, SPACING, "mm"))
    report = overlap(case, surfaces=False)
    assert not (report.table["metric"] == "hd95").any()


def test_one_voxel_is_a_volume():
    one = np.ones((1, 1, 1))
    report = overlap(Case(heatmap(one), one.astype(bool)))
    shown(report)
    assert report.select(metric="hd95", level="subject")["value"].tolist() == [0]


@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_a_constant_map_points_nowhere(axis):
    report = overlap(Case(heatmap(np.full(SHAPE, 0.6), axis=axis), blob(1)))
    shown(report)
    assert set(report.select(metric="peak_inside", level="unit")["value"]) == {0}


def test_maps_that_share_neither_network_nor_method_have_pairs_alone():
    maps = {("a", "one"): heatmap(noise(1)), ("b", "two"): heatmap(noise(2))}
    report = agreement_report(maps, **QUICK)
    shown(report)
    assert len(report.select(metric="iou_pair_unit_mean")) == 3
    assert not report.table["metric"].str.startswith("phi").any()


@pytest.mark.parametrize("n", [1, 3])
def test_maps_without_any_evidence_agree_on_nothing(n):
    cases = [
        Case({(m, b): heatmap(FLAT) for m in "ab" for b in "xy"}, subject=str(k)) for k in range(n)
    ]
    report = agreement_report(cases, **QUICK)
    shown(report)
    assert report.select(metric="phi_m")["value"].isna().all()
    assert report.undefined["phi_m"] == n * 4 * 3 * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: overlap(Case(heatmap(noise(1)), blob(1), correct=[True, False])), "but has 4"),
        (lambda: overlap(Case(heatmap(noise(1)), blob(1)), confidence=95), "between 0 and 1"),
        (lambda: overlap(Case(heatmap(noise(1)), blob(1)), resamples=-1), "not -1 times"),
        (lambda: overlap(Case(heatmap(noise(1)), blob(1)), seed=-1), "seed"),
        (lambda: overlap(Case(heatmap(noise(1)), np.nan * noise(1))), "no number"),
        (lambda: overlap(Case(heatmap(noise(1)), np.full(SHAPE, "a"))), "no number"),
        (lambda: overlap(Case({"m": blob(1)[0]}, blob(1)[0])), r"\(z, y, x\)"),
        (lambda: overlap(Case(heatmap(np.ones((0, 3, 3))), np.ones((0, 3, 3), bool))), "one voxel"),
        (
            lambda: agreement_report({"a": heatmap(FLAT), "b": heatmap(FLAT)}, foreground=NOTHING),
            "No voxel",
        ),
        (
            lambda: agreement_report(
                {"a": heatmap(FLAT), "b": heatmap(FLAT)}, confidence=95, resamples=0
            ),
            "between 0 and 1",
        ),
    ],
)
def test_what_makes_no_report_is_one_sentence(make, message):
    with pytest.raises(ReportError, match=message) as caught:
        make()
    assert isinstance(caught.value, NapariCamError)
    assert "\n" not in str(caught.value)
