"""Overlap: MONAI and scikit-learn as oracles, hand-typed cases, the papers' identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy import ndimage
from skimage.metrics import contingency_table
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from napari_cam.grid import Grid
from napari_cam.masks.counts import Counts, counts
from napari_cam.reports.overlap.metrics import (
    average_precision,
    pooled_metrics,
    soft_overlap,
    surface_distances,
    unit_metrics,
)

pytestmark = pytest.mark.quick

SPACING = (2.5, 0.7, 1.3)


def blob(seed, shape=(7, 19, 23), cut=0.05):
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.gaussian_filter(noise, 1.5) > cut


def pooled(prediction, reference):
    found = counts(prediction, reference)
    return pooled_metrics(*(np.float64(part) for part in (found.tp, found.fp, found.fn, found.tn)))


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed):
    a, b = blob(seed), blob(seed + 20)
    y, x = b.ravel(), a.ravel()
    one = {name: float(value) for name, value in unit_metrics(counts(a, b)).items()}
    tn, fp, _, _ = confusion_matrix(y, x).ravel()
    assert one == pytest.approx(
        {
            "iou_foreground": jaccard_score(y, x),
            "dice_foreground": f1_score(y, x),
            "precision": precision_score(y, x),
            "recall": recall_score(y, x),
            "specificity": tn / (tn + fp),
        }
    )
    all_voxels = {name: float(value) for name, value in pooled(a, b).items()}
    m = jaccard_score(y, x, average="macro")
    assert all_voxels == pytest.approx(
        {
            "iou_pooled_foreground": jaccard_score(y, x),
            "dice_pooled_foreground": f1_score(y, x),
            "precision_pooled": precision_score(y, x),
            "recall_pooled": recall_score(y, x),
            "specificity_pooled": recall_score(~y, ~x),
            "iou_pooled_background": jaccard_score(~y, ~x),
            "iou_pooled_background_foreground_mean": m,
            "dice_of_iou_pooled_background_foreground_mean": 2 * m / (1 + m),
            "iou_pooled_micro": jaccard_score(y, x, average="micro", labels=[0, 1]),
            "accuracy_pooled": accuracy_score(y, x),
        }
    )
    # With every class counted, micro F1 is plain accuracy.
    assert all_voxels["accuracy_pooled"] == pytest.approx(
        f1_score(y, x, average="micro", labels=[0, 1])
    )


@pytest.mark.parametrize(
    ("given_counts", "expected"),
    [
        ((0, 0, 0, 9), (np.nan, np.nan, np.nan, np.nan, 1.0)),  # nothing here, nothing found
        ((0, 3, 0, 6), (0.0, 0.0, 0.0, np.nan, 6 / 9)),  # nothing here, something found
        ((0, 0, 4, 5), (0.0, 0.0, np.nan, 0.0, 1.0)),  # missed
        ((9, 0, 0, 0), (1.0, 1.0, 1.0, 1.0, np.nan)),  # everywhere
    ],
)
def test_empty_masks(given_counts, expected):
    found = unit_metrics(Counts(*(np.array([each]) for each in given_counts)))
    assert [float(value[0]) for value in found.values()] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_two_empty_masks_count_as_asked(empty):
    found = unit_metrics(Counts(np.array([0]), np.array([0]), np.array([0]), np.array([5])), empty)
    assert {name: value[0] for name, value in found.items()} == {
        "iou_foreground": empty,
        "dice_foreground": empty,
        "precision": empty,
        "recall": empty,
        "specificity": 1.0,
    }


def test_an_all_background_prediction_has_half_the_backgrounds_iou():
    reference = blob(3)
    found = pooled(np.zeros_like(reference), reference)
    background = (~reference).mean()
    assert found["iou_pooled_background"] == pytest.approx(background)
    assert found["iou_pooled_background_foreground_mean"] == pytest.approx(background / 2)


# Ostrowski et al. 2024, tables II and III: DSC and mIoU as printed.
PUBLISHED = [
    (56.1, 39.0), (59.7, 42.6), (64.6, 47.7), (67.3, 50.7), (68.5, 52.1), (67.8, 51.3),
    (68.3, 51.9), (68.6, 52.2), (70.3, 54.2), (70.2, 54.1), (71.9, 56.1), (68.3, 51.8),
    (68.8, 52.4), (71.8, 56.0), (72.4, 56.8),
    (63.6, 46.6), (65.5, 48.7), (65.9, 49.1), (65.9, 49.1), (67.0, 50.3), (70.2, 54.1),
    (71.3, 55.4), (76.1, 61.4), (78.0, 63.8), (77.3, 63.0), (77.7, 63.5), (78.4, 64.4),
    (78.7, 64.9), (79.3, 65.7), (83.1, 71.1), (83.3, 71.4), (83.2, 71.3), (83.6, 71.8),
    (83.7, 71.9), (83.8, 72.1), (84.3, 72.8),
]  # fmt: skip


def test_the_published_dsc_is_that_of_the_published_mean():
    assert len(PUBLISHED) == 36
    for dsc, mean in PUBLISHED:
        m = mean / 100
        assert 200 * m / (1 + m) == pytest.approx(dsc, abs=0.11)


def test_the_published_dsc_is_what_is_computed_here():
    # Any counts with a mean of .568 over background and foreground give the printed 72.4.
    tn, wrong = 1_000_000.0, 40_000.0
    background = tn / (tn + wrong)
    foreground = 2 * 0.568 - background
    tp = foreground * wrong / (1 - foreground)
    found = pooled_metrics(*(np.float64(each) for each in (tp, wrong / 4, wrong * 3 / 4, tn)))
    assert found["iou_pooled_background_foreground_mean"] == pytest.approx(0.568)
    dsc = found["dice_of_iou_pooled_background_foreground_mean"]
    assert 100 * dsc == pytest.approx(72.4, abs=0.05)
    assert found["dice_pooled_foreground"] < 0.3  # which the printed 72.4 is not


def test_the_published_empty_rows():
    for share, expected in ((0.046, 47.7), (0.026, 48.7)):
        reference = np.arange(1000) < 1000 * share
        found = pooled(np.zeros(1000, bool), reference)
        mean = 100 * found["iou_pooled_background_foreground_mean"]
        assert mean == pytest.approx(expected, abs=0.05)


@given(arrays(bool, (2, 40)))
@settings(max_examples=100, deadline=None)
def test_identities(both):
    a, b = both
    found = unit_metrics(counts(a, b))
    iou, dice = float(found["iou_foreground"]), float(found["dice_foreground"])
    if a.any() or b.any():
        assert dice == pytest.approx(2 * iou / (1 + iou))
        assert 0 <= iou <= dice <= 1
        p, r = float(found["precision"]), float(found["recall"])
        if p + r > 0:
            assert dice == pytest.approx(2 * p * r / (p + r))
    else:
        assert np.isnan(iou)
    soft = soft_overlap(a, b)
    assert soft["soft_iou"] == pytest.approx(iou, nan_ok=True)
    assert soft["soft_dice"] == pytest.approx(dice, nan_ok=True)


@given(
    arrays(np.float32, 50, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])),
    arrays(bool, 50),
)
@settings(max_examples=100, deadline=None)
def test_average_precision_agrees_with_scikit_learn(heat, reference):
    found = average_precision(heat, reference)
    if reference.any():
        assert found == pytest.approx(average_precision_score(reference, heat), rel=1e-9)
    else:
        assert np.isnan(found)


def test_soft_overlap_counted_by_hand():
    found = soft_overlap(np.array([0.2, 0.8, 0.5]), np.array([0.4, 0.4, 0.5]))
    assert found["soft_iou"] == pytest.approx(1.1 / 1.7)
    assert found["soft_dice"] == pytest.approx(2.2 / 2.8)


def monai_distances(a, b, spacing):
    one, two = (torch.from_numpy(each[None, None].copy()).float() for each in (a, b))
    hd95 = compute_hausdorff_distance(
        one, two, include_background=True, percentile=95, spacing=list(spacing)
    )
    assd = compute_average_surface_distance(
        one, two, include_background=True, symmetric=True, spacing=list(spacing)
    )
    return {"hd95": float(hd95), "assd": float(assd)}


# MONAI calls itself in a way that it warns of.
@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("seed", range(4))
def test_surface_distances_agree_with_monai(seed):
    a, b = blob(seed), blob(seed + 40)
    grid = Grid.plain(a.shape, SPACING, "mm")
    found = surface_distances(a, b, grid)
    assert found == pytest.approx(monai_distances(a, b, SPACING), rel=1e-5)
    assert found == pytest.approx(surface_distances(b, a, grid))


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
def test_surface_distances_of_one_slice_agree_with_monai_in_two_dimensions():
    a, b = blob(1, (29, 31)), blob(2, (29, 31))
    grid = Grid.plain((1, 29, 31), SPACING, "mm")
    found = surface_distances(a[None], b[None], grid)
    assert found == pytest.approx(monai_distances(a, b, SPACING[1:]), rel=1e-5)


def test_surface_distances_by_hand():
    a, b = np.zeros((2, 5, 9, 11), bool)
    a[2, 3, 2] = b[2, 3, 7] = True
    grid = Grid.plain(a.shape, SPACING, "mm")
    assert surface_distances(a, b, grid) == pytest.approx({"hd95": 5 * 1.3, "assd": 5 * 1.3})
    assert surface_distances(a, a, grid) == {"hd95": 0.0, "assd": 0.0}
    assert np.isnan(surface_distances(a, np.zeros_like(a), grid)["hd95"])


@pytest.mark.parametrize("dense", [0, 10, 10**9])
def test_both_ways_to_find_the_nearest_agree(dense, monkeypatch):
    a, b = blob(8), blob(9, cut=0.2)
    grid = Grid.plain(a.shape, SPACING, "mm")
    expected = surface_distances(a, b, grid)
    monkeypatch.setattr("napari_cam.reports.overlap.metrics._DENSE", dense)
    assert surface_distances(a, b, grid) == pytest.approx(expected, rel=1e-9)


def test_distances_respect_a_sheared_grid():
    a, b = np.zeros((2, 5, 9, 11), bool)
    a[2, 3, 2] = b[2, 5, 2] = True
    affine = Grid.plain(a.shape, SPACING, "mm").affine.copy()
    affine[0, 1] = 2.0  # each step along y goes 2 mm along x too
    found = surface_distances(a, b, Grid(a.shape, affine))
    assert found["hd95"] == pytest.approx(2 * np.hypot(0.7, 2.0))


def test_distances_respect_an_oblique_grid():
    a, b = blob(5), blob(6)
    turn = np.deg2rad(33)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    plain = Grid.plain(a.shape, SPACING, "mm")
    oblique = Grid(a.shape, affine @ plain.affine)
    assert surface_distances(a, b, oblique) == pytest.approx(surface_distances(a, b, plain))


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_scikit_image(seed):
    a, b = blob(seed), blob(seed + 20)
    (tn, fn), (fp, tp) = contingency_table(a.astype(int), b.astype(int)).toarray()
    found = counts(a, b)
    assert (found.tp, found.fp, found.fn, found.tn) == pytest.approx((tp, fp, fn, tn))


def test_the_published_best_rows_imply_a_small_foreground_iou():
    # Ostrowski et al. 2024: m of the best rows; the background's IoU is at most 1.
    for m, least in ((0.568, 0.136), (0.728, 0.456)):
        assert 2 * m - 1 == pytest.approx(least)
    # "Empty": m is half of the background's IoU.
    for m, background in ((0.477, 0.954), (0.487, 0.974)):
        positives = np.array([round(1000 * (1 - background))])
        rest = 1000 - positives
        nothing = pooled_metrics(0 * positives, 0 * positives, positives, rest)
        assert nothing["iou_pooled_background_foreground_mean"][0] == pytest.approx(m)
