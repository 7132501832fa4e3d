"""The phantom's truth: where damage is, and that nothing but texture gives it away."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scipy import ndimage, stats

from napari_cam.errors import VolumeError
from napari_cam.sample.phantom import MAX_SHARE, Phantom, phantom

SMALL = (12, 64, 80)


@pytest.fixture(scope="module")
def cohort() -> list[Phantom]:
    return [phantom(seed, shape=SMALL) for seed in range(24)]


def test_same_seed_same_voxels_other_seed_other_voxels() -> None:
    first, again, other = phantom(7, shape=SMALL), phantom(7, shape=SMALL), phantom(8, shape=SMALL)
    np.testing.assert_array_equal(first.volume.values, again.volume.values)
    np.testing.assert_array_equal(first.damage, again.damage)
    assert (first.volume.values != other.volume.values).mean() > 0.5


def test_twins_differ_only_where_damage_is() -> None:
    damaged, healthy = phantom(3, shape=SMALL), phantom(3, damaged=False, shape=SMALL)
    differs = damaged.volume.values != healthy.volume.values
    assert not healthy.damage.any()
    assert not differs[damaged.damage == 0].any()
    assert differs[damaged.damage > 0.5].mean() > 0.9
    np.testing.assert_array_equal(damaged.tissue, healthy.tissue)


def test_damage_is_a_soft_map_inside_the_tissue(cohort: list[Phantom]) -> None:
    for one in cohort:
        assert one.damage.dtype == np.float32
        assert one.damage.min() == 0
        assert one.damage.max() <= 1
        assert not one.damage[~one.tissue].any()
        between = ((one.damage > 0.1) & (one.damage < 0.9)).sum()
        assert between > 0.2 * (one.damage >= 0.9).sum()


def test_damage_leaves_most_tissue_and_some_slices_intact(cohort: list[Phantom]) -> None:
    for one in cohort:
        in_slices = (one.damage > 0.5).sum(axis=(1, 2)) / one.tissue.sum(axis=(1, 2))
        assert (one.damage > 0.5).sum() < 0.25 * one.tissue.sum()
        assert in_slices.max() <= MAX_SHARE < 0.25
        assert (one.damage.max(axis=(1, 2)) == 0).any()
        assert in_slices.max() > 0.01


def test_position_does_not_tell(cohort: list[Phantom]) -> None:
    """Few foci cover the middle of the tissue, and their places spread as widely as the tissue."""
    at_the_middle, offsets = 0, []
    for one in cohort:
        z = int((one.damage > 0.5).sum(axis=(1, 2)).argmax())
        middle = np.array(ndimage.center_of_mass(one.tissue[z]))
        focus = np.array(ndimage.center_of_mass(one.damage[z]))
        half = np.ptp(np.argwhere(one.tissue[z]), axis=0) / 2
        at_the_middle += bool(one.damage[(z, *middle.round().astype(int))] > 0.5)
        offsets.append((focus - middle) / half)
    assert at_the_middle < 0.4 * len(cohort)
    assert np.std(offsets, axis=0).min() > 0.2


def test_brightness_does_not_tell(cohort: list[Phantom]) -> None:
    """The area under the ROC curve of the voxel value for damage stays near one half."""
    areas = []
    for one in cohort:
        inside = one.volume.values[one.damage > 0.5].astype(float)
        outside = one.volume.values[one.tissue & (one.damage == 0)].astype(float)
        pairs = len(inside) * len(outside)
        areas.append(stats.mannwhitneyu(inside, outside).statistic / pairs)
    assert 0.35 < np.mean(areas) < 0.65
    assert min(areas) < 0.5 < max(areas)


def test_air_holds_rayleigh_noise(cohort: list[Phantom]) -> None:
    """Rician noise of sigma 55 without signal: mean 55 sqrt(pi/2), variance (2 - pi/2) 55^2."""
    air = [o.volume.values[~ndimage.binary_dilation(o.tissue, iterations=4)] for o in cohort]
    values = np.concatenate(air).astype(float)
    assert values.mean() == pytest.approx(68.93, abs=0.3)
    assert values.std() == pytest.approx(36.03, abs=0.3)


def test_values_fit_twelve_bits_and_the_scale_is_an_mr_scanners(cohort: list[Phantom]) -> None:
    for one in cohort:
        assert one.volume.values.dtype == np.uint16
        assert one.volume.values.max() <= 4095
        assert 700 < np.median(one.volume.values[one.tissue]) < 2400


def test_grid_is_a_patient_frame_around_the_origin() -> None:
    volume = phantom(0, shape=SMALL, spacing=(3.0, 0.75, 0.5)).volume
    assert volume.spacing == (3.0, 0.75, 0.5)
    assert "".join(nibabel.aff2axcodes(volume.affine)) == volume.orientation == "SPL"
    np.testing.assert_allclose(volume.grid.world((5.5, 31.5, 39.5)), (0, 0, 0), atol=1e-9)
    # One step to superior, one to posterior, one to the left, in RAS millimetres.
    np.testing.assert_allclose(volume.grid.world((6.5, 32.5, 40.5)), (-0.5, -0.75, 3.0))


def test_too_few_voxels_are_refused() -> None:
    with pytest.raises(VolumeError, match="at least"):
        phantom(0, shape=(4, 64, 80))
