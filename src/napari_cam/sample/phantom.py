"""A synthetic MRI volume whose damage is known: the truth that heatmaps are measured against.

Shaped after thawed cod fillets under T2-weighted MRI (Sci Rep 2023, 13:2574): a tapered fillet of
muscle segments between thin connective-tissue lines, seen by a coil of uneven sensitivity through
Rician noise. Freezing damage turns the ordered muscle into coarse mottle and blurs the lines.
Bright and dark patches, fat specks and vessels lie in healthy and damaged fillets alike, so that
neither brightness nor position tells where the damage is: only the texture does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.errors import VolumeError
from napari_cam.grid import Grid
from napari_cam.volumes.volume import Volume

SHAPE = (22, 96, 128)
SPACING = (2.0, 0.5, 0.5)
MAX_SHARE = 0.22
"""Largest share of the tissue, in the volume and in each slice, that damage above 0.5 takes."""

_MIN_SHAPE = (8, 48, 48)
_TISSUE_LEVEL = 1400.0
_NOISE_LEVEL = 55.0
_TOP_OF_12_BITS = 4095

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic volume with its truth.

    Attributes
    ----------
    volume
        (z, y, x) uint16, 0 to 4095 as a 12-bit scanner stores it.
    damage
        (z, y, x) float32 in [0, 1], 0 intact and 1 wholly damaged; all 0 in a healthy phantom.
    tissue
        (z, y, x) bool, the fillet.
    seed
        What it was made from.
    """

    volume: Volume
    damage: NDArray[np.float32] = field(repr=False)
    tissue: NDArray[np.bool_] = field(repr=False)
    seed: int


def phantom(
    seed: int,
    damaged: bool = True,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
) -> Phantom:
    """Make the phantom of a seed; ``damaged=False`` gives the same fillet before freezing.

    The two twins of one seed share anatomy, coil and noise, and differ only where damage is.

    Parameters
    ----------
    seed
        Non-negative; the same seed gives the same voxels.
    damaged
        Whether one to three foci of damage are laid at random places in the tissue. They take at
        most `MAX_SHARE` of the tissue, and some slices stay without.
    shape
        Voxels along (z, y, x), at least (8, 48, 48).
    spacing
        Voxel size in mm along (z, y, x); z grows to superior, y to posterior, x to the left.

    Raises
    ------
    VolumeError
        Where `shape` is too small to hold a fillet.
    """
    sizes: tuple[int, ...] = tuple(shape)
    if len(sizes) != 3 or any(n < m for n, m in zip(sizes, _MIN_SHAPE, strict=True)):
        raise VolumeError(f"A phantom needs at least {_MIN_SHAPE} voxels, not {sizes}.")
    streams = [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(4)]
    for_anatomy, for_distractors, for_damage, for_scanner = streams
    tissue, muscle, lines = _fillet(for_anatomy, shape)
    distractors = _distractors(for_distractors, tissue)
    damage = _damage(for_damage, tissue) if damaged else np.zeros(shape, np.float32)
    mottle = _mottle(for_damage, shape)
    signal = muscle * (1 - lines * (1 - 0.8 * damage)) * distractors * (1 + damage * mottle)
    # Partial volume: a voxel at the surface holds some air.
    signal *= ndimage.gaussian_filter(tissue.astype(np.float32), (0.0, 0.7, 0.7))
    values = _scan(for_scanner, signal)
    return Phantom(Volume(values, _grid(shape, spacing)), damage, tissue, seed)


def _grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing[0], -spacing[1], -spacing[2]
    affine[3, 3] = 1.0
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = -middle
    return Grid(shape, affine, "SPL")


def _smooth(
    rng: np.random.Generator, shape: tuple[int, int, int], sigma: tuple[float, ...]
) -> Field:
    """Return a smooth random field (z, y, x) of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), sigma, mode="wrap")
    result: Field = (noise - noise.mean()) / noise.std()
    return result


def _fillet(
    rng: np.random.Generator, shape: tuple[int, int, int]
) -> tuple[NDArray[np.bool_], Field, Field]:
    """Return the tissue, its muscle signal about 1, and how dark the lines are (0 to 1)."""
    depth, height, width = shape
    z, y, x = np.meshgrid(
        np.linspace(0, 1, depth, dtype=np.float32),
        np.arange(height, dtype=np.float32) - (height - 1) / 2,
        np.arange(width, dtype=np.float32) - (width - 1) / 2,
        indexing="ij",
    )
    # The fillet lies on a tray, a little turned, and drifts and narrows from head to tail.
    turn = np.deg2rad(rng.uniform(-9, 9))
    x -= width * (rng.uniform(-0.04, 0.04) + rng.uniform(-0.07, 0.07) * (z - 0.5))
    y -= height * (rng.uniform(-0.03, 0.07) + rng.uniform(-0.06, 0.06) * (z - 0.5))
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    taper = 1 - rng.uniform(0.20, 0.40) * z ** rng.uniform(1.2, 2.0)
    across = x / (width * rng.uniform(0.42, 0.46) * taper)
    rim = np.clip(1 - np.abs(across) ** 2.4, 0, 1)
    hump = 1 + rng.uniform(0.15, 0.35) * rng.choice([-1, 1]) * across
    top = height * rng.uniform(0.38, 0.44) * taper * rim**0.6 * hump
    bottom = height * rng.uniform(0.25, 0.31) * taper * rim**0.25
    ripple = 1.2 * _smooth(rng, shape, (2.0, 8.0, 8.0))
    tissue = (y + top + ripple > 0) & (y - bottom + ripple < 0) & (rim > 0)
    muscle, lines = _muscle(rng, (z, y, x))
    return _one_piece(tissue), muscle, lines


def _one_piece(tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest connected piece: the rippled outline may shed crumbs."""
    labels, count = ndimage.label(tissue)
    if count <= 1:
        return tissue
    sizes = np.bincount(labels.ravel())[1:]
    kept: NDArray[np.bool_] = labels == 1 + int(sizes.argmax())
    return kept


def _muscle(
    rng: np.random.Generator, coordinates: tuple[Field, Field, Field]
) -> tuple[Field, Field]:
    """Return muscle segments (myomeres) nested like the layers of an onion, and their borders."""
    z, y, x = coordinates
    shape = (z.shape[0], z.shape[1], z.shape[2])
    height, width = shape[1:]
    centre = width * rng.uniform(-0.3, 0.3)
    rings = np.hypot(x - centre, 1.5 * (y + height * rng.uniform(0.05, 0.25)))
    zigzag = 5 * np.abs(((x / width * rng.uniform(3, 4) + rng.uniform(0, 1)) % 1) - 0.5)
    drift = rng.uniform(25, 45) * z + 2.5 * _smooth(rng, shape, (2.0, 10.0, 10.0))
    phase = (rings + zigzag + drift) / rng.uniform(8.5, 11.5)
    segment = np.floor(phase).astype(np.int64)
    to_border = (np.abs(phase - segment - 0.5) - 0.5) * 10
    lines = rng.uniform(0.28, 0.38) * np.exp(-((to_border / 0.9) ** 2))
    # The horizontal septum parts the back from the belly.
    to_septum = y + 2.5 * _smooth(rng, shape, (3.0, 14.0, 14.0)) + height * rng.uniform(-0.02, 0.06)
    lines = np.maximum(lines, rng.uniform(0.3, 0.4) * np.exp(-((to_septum / 1.1) ** 2)))
    tones = 1 + 0.07 * rng.standard_normal(512, np.float32)
    fibres = 0.04 * _smooth(rng, shape, (0.5, 0.6, 0.9))
    patches = 0.07 * _smooth(rng, shape, (1.5, 7.0, 7.0))
    muscle = tones[segment % 512] + fibres + patches
    return muscle.astype(np.float32), lines.astype(np.float32)


def _places(rng: np.random.Generator, inside: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Return `count` places (count, 3): each slice is as likely, and each voxel `inside` in it."""
    slices = rng.choice(np.flatnonzero(inside.any(axis=(1, 2))), count)
    places = [(z, *rng.choice(np.argwhere(inside[z]))) for z in slices]
    return np.array(places, dtype=np.int64)


def _distance(
    shape: tuple[int, ...], place: NDArray[np.int64], radii: tuple[float, float, float]
) -> Field:
    """Return the distance (z, y, x) from `place` in units of `radii` (voxels)."""
    axes = [
        (np.arange(n, dtype=np.float32) - p) / r
        for n, p, r in zip(shape, place, radii, strict=True)
    ]
    squares = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    return np.asarray(np.sqrt(squares), np.float32)


def _distractors(rng: np.random.Generator, tissue: NDArray[np.bool_]) -> Field:
    """Return a factor (z, y, x) for what lies in any fillet: vessels, fat, and smooth patches."""
    factor = np.ones(tissue.shape, np.float32)
    for place in _places(rng, tissue, int(rng.integers(14, 26))):  # specks of fat
        radius = rng.uniform(1.0, 2.2)
        distance = _distance(tissue.shape, place, (0.8, radius, radius * rng.uniform(0.7, 1.4)))
        factor += rng.uniform(0.5, 1.1) * np.exp(-(distance**2))
    for place in _places(rng, tissue, int(rng.integers(2, 5))):  # vessels run along the fillet
        lean = rng.uniform(-0.8, 0.8, 2)
        for z in range(tissue.shape[0]):
            along = np.array([0, *(lean * (z - place[0]))]).astype(np.int64)
            flat = np.array([0, place[1], place[2]]) + along
            distance = _distance((1, *tissue.shape[1:]), flat, (1.0, 1.3, 1.3))[0]
            factor[z] += 0.8 * np.exp(-(distance**2))
    for place in _places(rng, tissue, int(rng.integers(3, 6))):  # as large as damage, but smooth
        radii = (rng.uniform(1.5, 4), rng.uniform(6, 11), rng.uniform(6, 14))
        change = rng.uniform(0.2, 0.4) * rng.choice([-1, 1])
        factor += change * np.exp(-(_distance(tissue.shape, place, radii) ** 2))
    result: Field = factor.clip(0.3, 2.5)
    return result


def _damage(rng: np.random.Generator, tissue: NDArray[np.bool_]) -> Field:
    """Return the damage map (z, y, x): one to three soft-edged foci with ragged outlines."""
    shape = (tissue.shape[0], tissue.shape[1], tissue.shape[2])
    scale = np.array([shape[0] / 22, shape[1] / 96, shape[2] / 128])
    foci = [
        (place, np.array([rng.uniform(2.5, 5), rng.uniform(9, 15), rng.uniform(10, 20)]) * scale)
        for place in _places(rng, tissue, int(rng.integers(1, 4)))
    ]
    ragged = 0.16 * _smooth(rng, shape, (1.0, 3.0, 3.0))
    shrink = 1.0
    while True:
        nearest = np.full(shape, np.inf, np.float32)
        for place, radii in foci:
            size = (radii[0] * shrink, radii[1] * shrink, radii[2] * shrink)
            nearest = np.minimum(nearest, _distance(shape, place, size))
        soft = np.asarray(0.5 + (1 - nearest + ragged) / 0.3, np.float32).clip(0, 1)
        damage: Field = soft * tissue
        if _largest_share(damage, tissue) <= MAX_SHARE and (damage.max(axis=(1, 2)) == 0).any():
            return damage
        shrink *= 0.93


def _largest_share(damage: Field, tissue: NDArray[np.bool_]) -> float:
    """Return the largest share of a slice's tissue that damage above 0.5 takes."""
    sizes = tissue.sum(axis=(1, 2))
    return float(((damage > 0.5).sum(axis=(1, 2)) / np.maximum(sizes, 1)).max())


def _mottle(rng: np.random.Generator, shape: tuple[int, int, int]) -> Field:
    """Return the relative change (z, y, x) full damage makes: coarse bright and dark grains."""
    grains = _smooth(rng, shape, (0.4, 1.1, 1.1))
    change: Field = np.clip(0.21 * grains, -0.6, 0.8) + np.float32(rng.uniform(-0.05, 0.08))
    return change


def _scan(rng: np.random.Generator, signal: Field) -> NDArray[np.uint16]:
    """Return what a scanner stores of `signal`: coil bias, Rician noise, 12 bits."""
    bias = np.exp(0.2 * _smooth(rng, _shape(signal), (12.0, 30.0, 36.0)))
    true = signal * bias * _TISSUE_LEVEL * rng.uniform(0.8, 1.25)
    real, imaginary = rng.normal(0, _NOISE_LEVEL, (2, *signal.shape))
    magnitude = np.hypot(true + real, imaginary)
    stored: NDArray[np.uint16] = magnitude.round().clip(0, _TOP_OF_12_BITS).astype(np.uint16)
    return stored


def _shape(values: Field) -> tuple[int, int, int]:
    return values.shape[0], values.shape[1], values.shape[2]
