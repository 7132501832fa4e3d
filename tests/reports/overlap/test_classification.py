"""Classification over folds: scikit-learn as oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from napari_cam.errors import ReportError
from napari_cam.reports.overlap.classification import (
    classification_rows,
    classification_scores,
    classification_table,
)
from napari_cam.reports.overlap.report import reference_report
from tests.reports.heatmaps import blob, heatmap, noise

pytestmark = pytest.mark.quick

CLASSES = np.array(["meningioma", "glioma", "pituitary"])


def predictions(seed, n=90, right=0.8):
    rng = np.random.default_rng(seed)
    true = CLASSES[rng.integers(0, 3, n)]
    predicted = np.where(rng.random(n) < right, true, CLASSES[rng.integers(0, 3, n)])
    return true, predicted


def expected(true, predicted):
    p, r, f, _ = precision_recall_fscore_support(true, predicted, average="macro", zero_division=0)
    return [accuracy_score(true, predicted), p, r, f]


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed):
    found = classification_scores(*predictions(seed))
    assert list(found.values()) == pytest.approx(expected(*predictions(seed)))


def test_a_class_that_is_never_predicted_counts_as_zero():
    true, predicted = ["a", "b", "b"], ["b", "b", "b"]
    assert list(classification_scores(true, predicted).values()) == pytest.approx(
        expected(true, predicted)
    )


def test_mean_and_deviation_over_folds_stand_in_the_report():
    parts = [
        pd.DataFrame(
            dict(zip(("true", "predicted"), predictions(fold), strict=True))
            | {"fold": fold, "backbone": "vgg16"}
        )
        for fold in range(5)
    ]
    table = pd.concat(parts)
    each = np.array([expected(*predictions(fold)) for fold in range(5)])
    rows = classification_rows(table).set_index("metric")["value"]
    for place, metric in enumerate(("accuracy", "precision_macro", "recall_macro", "f1_macro")):
        assert rows[f"{metric}_fold_mean"] == pytest.approx(each[:, place].mean())
        assert rows[f"{metric}_fold_sd"] == pytest.approx(each[:, place].std(ddof=1))
    found = reference_report(
        heatmap(noise(1)), blob(1), thresholds="fixed:0.5", resamples=0, predictions=table
    )
    assert len(found.select(metric="f1_macro_fold_mean", backbone_a="vgg16")) == 1
    shown = next(each for each in found.tables if each.title == "Classification")
    assert shown.cells()["accuracy"].tolist() == [
        f"{each[:, 0].mean():.3f} ({each[:, 0].std(ddof=1):.3f})"
    ]


def test_one_fold_has_no_deviation():
    true, predicted = predictions(1)
    rows = classification_rows(pd.DataFrame({"true": true, "predicted": predicted}))
    assert "(" not in classification_table(rows).cells()["F1"][0]


def test_what_is_missing_is_named():
    with pytest.raises(ReportError, match="'predicted'"):
        classification_rows(pd.DataFrame({"true": ["a"]}))
    with pytest.raises(ReportError, match="2 true and 1 predicted"):
        classification_scores(["a", "b"], ["a"])
