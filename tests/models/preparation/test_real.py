"""The preparation on real scans: one scan in two files, voxels that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Foreground, Orient, Rescale, Resize, Slices
from napari_cam.volumes.reading import read_volume

pytestmark = pytest.mark.data


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_one_scan_in_two_files_gives_the_same_numbers(shared_data, plane):
    files = [
        shared_data / "nifti_awkward" / name for name in ("PIR.nii.gz", "RAS_reference.nii.gz")
    ]
    first, second = (read_volume(file) for file in files)
    assert first.orientation != second.orientation
    steps = (Orient("IPL"), Foreground("otsu"), Rescale(1, 99), Slices(plane), Resize((40, 50)))
    one, other = (Preparation(steps).bind(volume) for volume in (first, second))
    flipped = first.orientation[one.unit_axis] != second.orientation[other.unit_axis]
    indices = list(range(one.n_units))
    there = indices[::-1] if flipped else indices
    batch = one.batch(indices)
    assert batch.std() > 0.1
    assert np.array_equal(batch, other.batch(there))


def test_nan_and_infinity_in_a_scan_reach_no_network(shared_data):
    volume = read_volume(shared_data / "nifti_awkward" / "nan_inf.nii.gz")
    prepared = Preparation.default(2, 3).bind(volume)
    batch = prepared.batch(range(prepared.n_units))
    assert any("smallest finite value" in note for note in prepared.notes)
    assert np.isfinite(batch).all()
    assert batch.min() == 0
    assert batch.max() == 1
