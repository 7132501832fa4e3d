"""Deletion, insertion, ROAD and the rest, on networks whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from napari_cam.errors import ReportError
from napari_cam.reports.faithfulness.network.curves import (
    area,
    curves_of,
    deletion,
    insertion,
    masked_score,
    ranks,
    road,
)
from napari_cam.reports.faithfulness.network.imputation import blurred, impute
from napari_cam.reports.faithfulness.network.sensitivity import grid_cells, sensitivity_n
from napari_cam.reports.faithfulness.settings import CurveSettings
from tests.reports.faithfulness.linear import Weighted, unit_of

IMAGE = np.array([[1.0, 2.0, 0.5, 1.5], [3.0, 1.0, 1.0, 2.0]])
WEIGHTS = np.array([[4.0, 0.0, 2.0, 0.0], [1.0, 0.0, -1.0, 0.5]])
# Contributions: 4, 0, 1, 0 / 3, 0, -1, 1; their sum is 8.
HEAT = np.array([[8.0, 2.0, 6.0, 1.0], [7.0, 3.0, 0.0, 5.0]], np.float32)


def test_deletion_takes_the_contributions_away_one_by_one():
    unit = unit_of(Weighted(WEIGHTS), IMAGE)
    found = deletion(unit, ranks(HEAT), CurveSettings(steps=8, fill="zero"))
    assert unit.start == 8
    # In the order of HEAT: 4, 3, 1, 1, 0, 0, 0, -1.
    assert found == pytest.approx([8, 4, 1, 0, -1, -1, -1, -1, 0])
    assert area(found) == pytest.approx((4 + 4 + 1 + 0 - 1 - 1 - 1 - 1 + 0) / 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"fill": "black"},
        {"removed": ()},
        {"removed": (0.5, 1.0)},
        {"blur": 0.0},
        {"noise": -1.0},
        {"seed": -1},
    ],
)
def test_settings_that_make_no_curve_are_refused(wrong):
    with pytest.raises(ReportError):
        CurveSettings(**wrong)


def test_deletion_to_the_mean_ends_at_a_flat_image():
    unit = unit_of(Weighted(WEIGHTS), IMAGE)
    found = deletion(unit, ranks(HEAT), CurveSettings(steps=4, fill="mean"))
    assert found[-1] == pytest.approx(IMAGE.mean() * WEIGHTS.sum())
    # The first two pixels, 1 and 3, become the mean 1.5.
    assert found[1] == pytest.approx(8 + 4 * 0.5 - 1 * 1.5)


def test_insertion_goes_from_the_blurred_image_to_the_image():
    unit = unit_of(Weighted(WEIGHTS), IMAGE)
    settings = CurveSettings(steps=8, blur=1.0)
    found = insertion(unit, ranks(HEAT), settings)
    smooth = blurred(torch.from_numpy(IMAGE.astype(np.float32))[None], 2.0)[0].numpy()
    gains = ((IMAGE - smooth) * WEIGHTS).ravel()[np.argsort(-HEAT.ravel())]
    assert found == pytest.approx((smooth * WEIGHTS).sum() + np.r_[0, np.cumsum(gains)], abs=1e-4)
    assert found[-1] == pytest.approx(8)
    # Blurred is also what deletion leaves by default.
    assert deletion(unit, ranks(HEAT), settings)[-1] == pytest.approx(found[0])


def test_the_blur_is_a_gaussian():
    from scipy import ndimage

    image = np.random.default_rng(0).random((2, 13, 17)).astype(np.float32)
    expected = [
        ndimage.gaussian_filter(each, 1.5, mode="nearest", truncate=10 / 3) for each in image
    ]
    found = blurred(torch.from_numpy(image), 1.5).numpy()
    assert found == pytest.approx(np.stack(expected), abs=1e-5)


def test_masking_drop_and_increase_by_hand():
    unit = unit_of(Weighted(WEIGHTS), IMAGE)
    shares = HEAT / 8
    kept = float((IMAGE * WEIGHTS * shares).sum())
    assert masked_score(unit, HEAT) == pytest.approx(kept)
    metrics = curves_of(unit, HEAT, CurveSettings(steps=2)).metrics()
    assert metrics["average_drop"] == pytest.approx(100 * (8 - kept) / 8)
    assert metrics["increase"] == 0
    # Keeping the positive contributions alone raises the score to 9.
    positive = (IMAGE * WEIGHTS > 0).astype(np.float32)
    metrics = curves_of(unit, positive, CurveSettings(steps=2)).metrics()
    assert (metrics["average_drop"], metrics["increase"]) == (0, 1)


def test_the_order_of_ties_does_not_follow_the_image():
    assert ranks(np.array([[3.0, 1.0], [2.0, 0.0]])).tolist() == [[0, 2], [1, 3]]
    order = ranks(np.zeros((40, 50)))
    assert sorted(order.ravel()) == list(range(2000))
    assert abs(np.corrcoef(order.ravel(), np.arange(2000))[0, 1]) < 0.08
    assert np.array_equal(order, ranks(np.zeros((40, 50))))
    assert not np.array_equal(order, ranks(np.zeros((40, 50)), seed=1))


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_imputation_is_that_of_the_reference_implementation():
    road_of = pytest.importorskip("pytorch_grad_cam.metrics.road")
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((3, 11, 14)).astype(np.float32))
    for share in (0.1, 0.5, 0.9):
        removed = torch.from_numpy(rng.random((11, 14)) < share)
        expected = road_of.NoisyLinearImputer(noise=0)(image, (~removed).float())
        found = impute(image[None], removed[None])[0]
        assert found.numpy() == pytest.approx(expected.numpy(), abs=2e-3)
        assert torch.equal(found[:, ~removed], image[:, ~removed])


def test_one_voxel_is_the_mean_of_its_26_neighbours():
    block = torch.arange(27.0).reshape(3, 3, 3) ** 2
    removed = torch.zeros(3, 3, 3, dtype=torch.bool)
    removed[1, 1, 1] = True
    away = sum(torch.meshgrid(*[torch.tensor([1, 0, 1])] * 3, indexing="ij"))
    weights = torch.tensor([0, 4, 2, 1])[away] / 56
    assert weights.sum() == 1
    found = impute(block[None, None], removed[None])[0, 0, 1, 1, 1]
    assert float(found) == pytest.approx(float((block * weights).sum()), rel=1e-4)


@pytest.mark.parametrize("shape", [(9, 12), (6, 7, 9)])
def test_a_ramp_is_restored(shape):
    ramp = sum(torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij"))
    removed = torch.zeros(shape, dtype=torch.bool)
    removed[tuple(slice(2, n - 2) for n in shape)] = True
    found = impute(ramp[None, None], removed[None])[0, 0]
    assert found.numpy() == pytest.approx(ramp.numpy(), abs=2e-2)


def test_imputation_does_not_depend_on_what_is_imputed_beside_it():
    rng = np.random.default_rng(5)
    images = torch.from_numpy(rng.random((5, 2, 90, 95)).astype(np.float32))  # several groups
    shares = torch.tensor([0.05, 0.9, 0.3, 0.7, 0.99])
    removed = torch.from_numpy(rng.random((5, 90, 95)).astype(np.float32)) < shares[:, None, None]
    together = impute(images, removed)
    for place in range(5):
        alone = impute(images[place : place + 1], removed[place : place + 1])[0]
        assert alone.numpy() == pytest.approx(together[place].numpy(), abs=1e-6)


def test_an_image_without_any_pixel_left_is_its_mean():
    image = torch.rand(1, 2, 5, 6)
    found = impute(image, torch.ones(1, 5, 6, dtype=torch.bool))
    assert found[0, :, 0, 0].numpy() == pytest.approx(image[0].mean((1, 2)).numpy(), abs=1e-6)


def test_noise_is_added_to_what_is_removed_alone_and_seeded():
    image, removed = torch.rand(1, 1, 8, 9), torch.rand(1, 8, 9) < 0.4
    noise = torch.randn(1, 1, 8, 9)
    difference = impute(image, removed, noise) - impute(image, removed)
    assert difference.numpy() == pytest.approx((noise * removed[:, None]).numpy(), abs=1e-5)
    unit = unit_of(Weighted(WEIGHTS), IMAGE)
    runs = [road(unit, ranks(HEAT), CurveSettings(seed=seed))[0] for seed in (0, 0, 1)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_road_tells_the_most_from_the_least_relevant():
    rng = np.random.default_rng(1)
    image = 0.2 * rng.random((16, 18))
    image[4:8, 5:10] = 1.0  # what the network weighs stands out from its neighbours
    weights = np.zeros((16, 18))
    weights[4:8, 5:10] = 1.0
    unit = unit_of(Weighted(weights), image)
    settings = CurveSettings(removed=(0.2,), noise=0.0)
    morf, lerf = road(unit, ranks(weights.astype(np.float32)), settings)
    assert lerf[0] == pytest.approx(20)
    assert morf[0] < 6


@pytest.mark.parametrize("shape", [(16, 24), (8, 12, 10)])
def test_exact_attributions_of_a_linear_network_have_a_sensitivity_of_one(shape):
    rng = np.random.default_rng(0)
    image, weights = rng.random(shape), rng.normal(size=shape)
    unit = unit_of(Weighted(weights), image)
    exact = (image * weights).astype(np.float32)
    assert sensitivity_n(unit, exact) == pytest.approx(1, abs=1e-4)
    assert sensitivity_n(unit, -exact) == pytest.approx(-1, abs=1e-4)
    assert abs(sensitivity_n(unit, rng.random(shape, dtype=np.float32))) < 0.6
    assert np.isnan(sensitivity_n(unit, np.zeros(shape, np.float32)))


def test_cells_share_the_image_among_them():
    assert grid_cells((2, 5), 3).tolist() == [[0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    assert np.bincount(grid_cells((16, 24), 8).ravel()).tolist() == [6] * 64


def test_probabilities_are_read_where_asked():
    unit = unit_of(Weighted(WEIGHTS / 8), IMAGE, "probability")
    logits = torch.tensor([0.0, 1.0])
    assert unit.start == pytest.approx(float(F.softmax(logits, 0)[1]))
