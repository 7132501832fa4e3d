"""Options that ``ensemble`` and ``calibrate`` share, named as in Python."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from napari_cam.errors import MaskError

OperatorText = Annotated[
    str,
    typer.Option(
        metavar="OPERATOR",
        help="or, and, smallest, largest, majority; 'ensemble' also takes staple, and mean for "
        "heatmaps.",
    ),
]
TiesText = Annotated[
    str,
    typer.Option(metavar="WHICH", help="Which of several smallest or largest: first or last."),
]
EmptyText = Annotated[
    str,
    typer.Option(metavar="HOW", help="Whether empty members of a slice take part: keep or skip."),
]
TiedVotesText = Annotated[
    str,
    typer.Option(metavar="HOW", help="Where half of the members vote: out, in or first."),
]
UnitAxisText = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS",
        help="Compare members by size along axis 0, 1 or 2, or 'none' for the whole volume; else "
        "as they were explained.",
    ),
]


def unit_axis_of(text: str | None) -> Any:
    """Return the axis that a text names.

    Raises
    ------
    MaskError
        Where it names none.
    """
    axes: dict[str | None, Any] = {None: "members", "none": None, "0": 0, "1": 1, "2": 2}
    if text not in axes:
        raise MaskError(f"--unit-axis is 0, 1, 2 or none, not '{text}'.")
    return axes[text]
