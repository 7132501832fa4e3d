"""Volumes stored in any of the 48 orientations, for tests of the preparation."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np

from napari_cam.grid import Grid
from napari_cam.volumes.volume import Volume

ORIENTATIONS = [
    "".join(pair[sign] for pair, sign in zip(pairs, signs, strict=True))
    for pairs in permutations(("LR", "PA", "IS"))
    for signs in product((0, 1), repeat=3)
]
_DIRECTION = {
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}


def patient_volume(values, letters="SPL", spacing=(3.0, 0.75, 0.5), **options) -> Volume:
    """Return a volume whose array axes grow towards `letters` with voxels of `spacing` mm."""
    affine = np.eye(4)
    for axis, (letter, mm) in enumerate(zip(letters, spacing, strict=True)):
        affine[:3, axis] = np.array(_DIRECTION[letter]) * mm
    return Volume(values, Grid(values.shape[-3:], affine, letters), **options)


def turned(values, letters: str, to: str):
    """Return an array (z, y, x) that grows towards `letters` stored towards `to` (by nibabel)."""
    return nib.orientations.apply_orientation(values, turn(letters, to))


def turn(letters: str, to: str):
    codes = nib.orientations.axcodes2ornt
    return nib.orientations.ornt_transform(codes(tuple(letters)), codes(tuple(to)))


def twin(volume: Volume, to: str) -> Volume:
    """Return the same scan as another file would store it: towards `to`."""
    letters = volume.orientation
    values = volume.channels_first()
    stored = np.stack([turned(channel, letters, to) for channel in values])
    axes = [int(axis) for axis in turn(letters, to)[:, 0]]
    spacing = [0.0] * 3
    for axis, mm in zip(axes, volume.spacing, strict=True):
        spacing[axis] = mm
    return patient_volume(
        stored if volume.values.ndim == 4 else stored[0],
        to,
        tuple(spacing),
        stack_axis=axes[volume.stack_axis],
    )
