"""Which anatomical letter stands at each edge of a view, and how a camera shows it upright."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Edge = Literal["left", "right", "top", "bottom"]
Orientation = tuple[str, str, str]
"""Of napari's camera: depth, rows, columns."""

_OPPOSITE = {"S": "I", "P": "A", "L": "R", "I": "S", "A": "P", "R": "L"}
# (S, P, L) in the right-handed frame (R, A, S), and a screen's directions in (right, up, towards).
_PATIENT = {"S": (0, 0, 1), "P": (0, -1, 0), "L": (-1, 0, 0)}
_SCREEN = {
    "right": (1, 0, 0), "left": (-1, 0, 0), "up": (0, 1, 0), "down": (0, -1, 0),
    "towards": (0, 0, 1), "away": (0, 0, -1),
}  # fmt: skip
# A turned volume names a second direction from this share of the first one.
_SECOND = 0.4


def letters_2d(axes: Sequence[str], orientation: Orientation) -> dict[Edge, str]:
    """Return the letter at each edge of a slice.

    Parameters
    ----------
    axes
        The directions in which rows and columns grow, "" for an axis that is none of the patient.
    orientation
        Of napari's camera: depth ("towards", "away"), rows ("down", "up"), columns ("right",
        "left").
    """
    (rows, columns), (_, vertical, horizontal) = axes, orientation
    far_row, far_column = _OPPOSITE.get(rows, ""), _OPPOSITE.get(columns, "")
    down, right = vertical == "down", horizontal == "right"
    return {
        "bottom": rows if down else far_row,
        "top": far_row if down else rows,
        "right": columns if right else far_column,
        "left": far_column if right else columns,
    }


def letters_3d(
    axes: Sequence[str], orientation: Orientation, view: Sequence[float], up: Sequence[float]
) -> dict[Edge, str]:
    """Return the letters at each edge of a 3D view: the nearest direction, and a second near it.

    Parameters
    ----------
    axes
        The directions in which the three displayed axes grow.
    orientation
        Of napari's camera, as in `letters_2d`.
    view, up
        The camera's view and up direction along the displayed axes.
    """
    depth, vertical, horizontal = orientation
    first = np.array(view, dtype=np.float64) * (-1 if depth == "towards" else 1)
    second = np.array(up, dtype=np.float64) * (-1 if vertical == "down" else 1)
    right = np.cross(first, second) * (1 if horizontal == "right" else -1)
    top = np.array(up, dtype=np.float64)
    return {
        "top": _nearest(axes, top),
        "bottom": _nearest(axes, -top),
        "right": _nearest(axes, right),
        "left": _nearest(axes, -right),
    }


def _nearest(axes: Sequence[str], direction: NDArray[np.float64]) -> str:
    """Return one or two letters of the directions that `direction` lies closest to."""
    order = np.argsort(-np.abs(direction))[:2]
    strongest = abs(direction[order[0]])
    names = [
        axes[axis] if direction[axis] > 0 else _OPPOSITE.get(axes[axis], "")
        for axis in order
        if abs(direction[axis]) >= _SECOND * strongest
    ]
    return "".join(names)


def upright(axes: Sequence[str]) -> Orientation:
    """Return the camera orientation for three axes: head up, and left and right as they are.

    Parameters
    ----------
    axes
        The directions in which depth, rows and columns grow, each of S, P and L once.
    """
    vertical = "up" if axes[1] == "S" else "down"
    patient = np.linalg.det([_PATIENT[axis] for axis in axes])
    screen = np.linalg.det([_SCREEN["towards"], _SCREEN[vertical], _SCREEN["right"]])
    return ("towards" if patient * screen > 0 else "away"), vertical, "right"
