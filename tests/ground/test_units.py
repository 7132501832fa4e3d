"""Units: slices along each axis and whole volumes, against loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cam import units

VALUES = np.arange(2 * 3 * 5).reshape(2, 3, 5)
AXES = [None, 0, 1, 2]


def slices(values: NDArray[Any], axis: int | None) -> list[NDArray[Any]]:
    """Return the units as a loop picks them."""
    picks: dict[int | None, list[NDArray[Any]]] = {
        None: [values],
        0: [values[0], values[1]],
        1: [values[:, i, :] for i in range(3)],
        2: [values[:, :, i] for i in range(5)],
    }
    return picks[axis]


@pytest.mark.parametrize("axis", AXES)
def test_every_unit_in_turn(axis: int | None) -> None:
    expected = slices(VALUES, axis)
    found = units.by_unit(VALUES, axis)
    assert units.n_units(VALUES.shape, axis) == len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("axis", AXES)
def test_what_is_written_to_a_unit_goes_into_the_volume(axis: int | None) -> None:
    written = np.zeros_like(VALUES)
    for unit, values in zip(units.by_unit(written, axis), slices(VALUES, axis), strict=True):
        unit[...] = values
    assert written.tolist() == VALUES.tolist()


@pytest.mark.parametrize("axis", AXES)
def test_numbers_per_unit_meet_their_voxels(axis: int | None) -> None:
    numbers = np.arange(1, 1 + len(slices(VALUES, axis))) * 10
    found = VALUES + units.per_unit(numbers, axis)
    for one, other, number in zip(
        slices(found, axis), slices(VALUES, axis), numbers.tolist(), strict=True
    ):
        assert one.tolist() == (other + number).tolist()


@pytest.mark.parametrize("axis", AXES)
def test_counts_and_flags_of_each_unit(axis: int | None) -> None:
    mask = np.isin(VALUES, [3, 4, 8, 13])  # all in the first slice; none at x = 0, 1 or 2
    expected = [int(each.sum()) for each in slices(mask, axis)]
    assert units.count_by_unit(mask, axis).tolist() == expected
    assert units.any_by_unit(mask, axis).tolist() == [n > 0 for n in expected]
    assert VALUES.max(axis=units.axes_within(axis)).reshape(-1).tolist() == [
        int(each.max()) for each in slices(VALUES, axis)
    ]


def test_a_slab_keeps_its_axis() -> None:
    assert VALUES[units.slab(1, 2)].tolist() == VALUES[:, 2:3, :].tolist()
