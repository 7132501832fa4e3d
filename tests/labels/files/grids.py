"""Scans in every orientation, made with nibabel, and labels that say where they lie."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.volumes.reading import read_volume
from napari_cam.volumes.volume import Volume

ORIENTATIONS = [
    "".join(signs[axis] for axis, signs in zip(order, chosen, strict=True))
    for order in itertools.permutations(range(3))
    for chosen in itertools.product(("RAS", "LPI"), repeat=3)
]
STORED = (5, 6, 7)
SIZES = (0.7, 1.1, 2.9)

CLASSES = LabelClasses(
    (
        LabelClass(1, "background", "#999999"),
        LabelClass(2, "liver, left lobe", "#E69F00"),
        LabelClass(3, "läsion", "#56B4E9"),
    )
)


def affine_of(codes: str, oblique: bool = False) -> NDArray[np.float64]:
    """Return a stored index -> RAS affine with these axis codes, anisotropic, off the origin."""
    ornt = nib.orientations.axcodes2ornt(tuple(codes))
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(ornt):
        affine[int(world), axis] = sign * SIZES[axis]
    affine[:, 3] = (-31.5, 12.25, 104.125, 1)
    if oblique:
        turn = nib.eulerangles.euler2mat(z=0.21, y=-0.13, x=0.17)
        affine[:3, :3] = turn @ affine[:3, :3]
    return affine


def stored_labels(shape: tuple[int, ...] = STORED) -> NDArray[np.uint8]:
    """Return labels 0 to 3 without any symmetry."""
    return np.random.default_rng(3).integers(0, 4, shape).astype(np.uint8)


def scan(path: Path, affine: NDArray[Any], shape: tuple[int, ...] = STORED) -> Volume:
    """Write a NIfTI file and return it as a volume."""
    values = np.random.default_rng(5).normal(100, 20, shape).astype(np.float32)
    image = nib.Nifti1Image(values, affine)
    image.header["descrip"] = b"Doe^Jane"
    nib.save(image, path)
    return read_volume(path)


def seeds_on(volume: Volume, stored: NDArray[np.uint8]) -> Seeds:
    """Return seeds that hold `stored` labels in the axes of the file."""
    labels = np.ascontiguousarray(stored.transpose(volume.source.stored_axes))
    return Seeds(labels, CLASSES, volume.grid, {"kind": "seeds", "high": 0.6})
