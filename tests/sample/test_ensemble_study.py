"""The study of ensembles on few fillets: its layout, its identities and its baselines."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble_study import (
    StudyCases,
    StudyRow,
    gain,
    markdown,
    study,
    study_cases,
)
from napari_cam.sample import load_sample_model
from napari_cam.sample.cohort import TEST


@pytest.fixture(scope="module")
def cases() -> StudyCases:
    return study_cases(load_sample_model(), TEST.phantoms(4))


@pytest.fixture(scope="module")
def rows(cases: StudyCases) -> dict[str, StudyRow]:
    return {row.name: row for row in study(cases)}


def test_the_layout_is_that_of_the_papers_tables(rows: dict[str, StudyRow]) -> None:
    kinds = ["Grad-CAM", "Layer-CAM", "'or'", "'>'", "'<'", "'and'"]
    assert list(rows) == [
        "empty",
        "full",
        *kinds,
        "box only + tissue",
        *(f"{kind} + tissue" for kind in kinds),
        "box only + centred box",
        *(f"{kind} + centred box" for kind in kinds),
    ]
    assert all(len(row.thresholds) == 3 for row in rows.values() if row.thresholds)
    assert markdown(rows.values()).count("\n") == len(rows) + 1


def test_empty_is_half_the_background(cases: StudyCases, rows: dict[str, StudyRow]) -> None:
    truth = np.concatenate([truth.ravel() for truth in cases.truths])
    scores = rows["empty"].scores
    assert scores["iou_pooled_background_foreground_mean"] == pytest.approx((1 - truth.mean()) / 2)
    assert scores["iou_pooled_foreground"] == 0
    assert rows["full"].scores["iou_pooled_foreground"] == pytest.approx(truth.mean())
    tissue = np.concatenate([tissue.ravel() for tissue in cases.tissue])
    overlap = (tissue & truth).sum() / (tissue | truth).sum()
    assert rows["box only + tissue"].scores["iou_pooled_foreground"] == pytest.approx(overlap)


def test_every_row_obeys_the_identity_of_the_papers_dsc(rows: dict[str, StudyRow]) -> None:
    for row in rows.values():
        m = row.scores["iou_pooled_background_foreground_mean"]
        assert row.scores["dice_of_iou_pooled_background_foreground_mean"] == pytest.approx(
            2 * m / (1 + m)
        )


def test_heatmaps_beat_knowing_nothing(rows: dict[str, StudyRow]) -> None:
    for name in ("Grad-CAM", "Layer-CAM", "'and'"):
        assert (
            rows[name].scores["iou_pooled_foreground"]
            > 2 * rows["full"].scores["iou_pooled_foreground"]
        )
        assert rows[name].oracle >= rows[name].scores["iou_pooled_background_foreground_mean"]


def test_the_gain_is_the_mean_difference_of_fillets() -> None:
    rows = [
        StudyRow("a", {}, (0.5, 0.7, np.nan, 0.2)),
        StudyRow("b", {}, (0.4, 0.4, 0.3, 0.2)),
    ]
    mean, low, high = gain(rows, "a", "b")
    assert mean == pytest.approx(0.4 / 3)
    assert 0 <= low < mean < high <= 0.3 + 1e-9
