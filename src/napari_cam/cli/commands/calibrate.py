"""``napari-cam calibrate``: thresholds of an ensemble chosen on cases with masks, out of fold."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import output_folder
from napari_cam.cli.opening import open_mask
from napari_cam.cli.options import (
    AtLeast,
    BoxTexts,
    EmptyText,
    OperatorText,
    OutFolder,
    Overwrite,
    TiedVotesText,
    TiesText,
    UnitAxisText,
)
from napari_cam.cli.parsing import parse_boxes, parse_unit_axis
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import MaskError
from napari_cam.masks.choices import EMPTY, OPERATORS, TIED_VOTES, TIES
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.heatmap import Heatmap
    from napari_cam.masks.calibration.result import Calibration
    from napari_cam.masks.ensembles.boxes import BoxFilter

_OWN = ("mask", "group", "box")


@guarded
def calibrate(
    cases: Annotated[
        Path,
        typer.Argument(
            metavar="CASES",
            help="CSV table with a row for each case: columns mask, group and, if each case has "
            "its own, box; every other column is a member with its heatmap file.",
        ),
    ],
    out: OutFolder,
    operator: OperatorText = "and",
    metric: Annotated[
        str, typer.Option(metavar="METRIC", help="What the thresholds are to maximise.")
    ] = "iou_pooled_foreground",
    thresholds: Annotated[
        str, typer.Option(metavar="T,T,...", help="What each member may be cut at.")
    ] = "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1",
    at_least: AtLeast = False,
    box: BoxTexts = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Folds of groups; leaves out one group at a time if not given."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of folds.")] = 0,
    ties: TiesText = "first",
    empty: EmptyText = "keep",
    tied_votes: TiedVotesText = "out",
    unit_axis: UnitAxisText = None,
    both_empty: Annotated[
        float,
        typer.Option(
            metavar="VALUE", help="What an image with nothing to find counts as: nan, 0, 1."
        ),
    ] = float("nan"),
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Choose the thresholds of members together.

    Writes calibration.json (everything), calibration.csv (the table) and calibration.png (how the
    metric depends on the thresholds). The result is the row "out of fold"; "oracle" was chosen on
    the cases it is measured on.
    """
    import napari_cam as nc
    from napari_cam.files import check_writable
    from napari_cam.masks.overlap_scores import OLD_NAMES

    if metric in OLD_NAMES:
        show_notes([f"the metric {metric} is called {OLD_NAMES[metric]} now."])
        metric = OLD_NAMES[metric]
    rows = _rows(cases)
    groups = [row.group for row in rows]
    own_boxes = any(row.box for row in rows)
    if own_boxes and box:
        raise MaskError("The table has a column box; leave out --box.")
    boxes: Any = parse_boxes(box or [], None) if not own_boxes else [row.read_box() for row in rows]
    with output_folder(out) as folder:
        files = {kind: folder / f"calibration.{kind}" for kind in ("json", "csv", "png")}
        for file in files.values():
            check_writable(file, overwrite)
        found = nc.calibrate(
            (row.read_members() for row in rows),
            (row.read_reference() for row in rows),
            groups,
            OPERATORS.checked(operator),
            metric,
            thresholds=_thresholds(thresholds),
            strict=not at_least,
            boxes=boxes,
            folds=folds,
            seed=seed,
            ties=TIES.checked(ties),
            empty=EMPTY.checked(empty),
            tied_votes=TIED_VOTES.checked(tied_votes),
            unit_axis=parse_unit_axis(unit_axis),
            both_empty=both_empty,
        )
        _write(found, files, overwrite)
    _show(found)
    return None


@dataclass(frozen=True)
class _Row:
    """A row of the table of cases."""

    number: int
    members: Mapping[str, Path]
    mask: Path
    group: str
    box: Path | None

    def read_members(self) -> dict[str, Heatmap]:
        """Read the members' heatmaps."""
        from napari_cam.volumes.heatmap_files import read_heatmap

        return {name: read_heatmap(path)[0] for name, path in self.members.items()}

    def read_reference(self) -> NDArray[np.bool_]:
        """Read the true mask, on the first member's grid."""
        return self._read(self.mask, "mask")

    def read_box(self) -> BoxFilter:
        """Read where masks may lie in this case."""
        from napari_cam.masks.ensembles.boxes import Within

        if self.box is None:
            raise MaskError(f"Row {self.number} names no box; name one in each row or in none.")
        return Within(self._read(self.box, "box"), "file")

    def _read(self, path: Path, what: str) -> NDArray[np.bool_]:
        from napari_cam.volumes.heatmap_files import read_heatmap

        first = next(iter(self.members.values()))
        return open_mask(path, read_heatmap(first)[1].grid, what)


def _rows(path: Path) -> list[_Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MaskError(f"{path} cannot be read as a table; give a CSV file in UTF-8.") from error
    lines = csv.DictReader(text.splitlines(), skipinitialspace=True)
    header = [name.strip() for name in lines.fieldnames or ()]
    members = [name for name in header if name not in _OWN]
    if "mask" not in header or "group" not in header or not members:
        raise MaskError(
            f"{path} needs the columns mask and group, and one for each member with its heatmap; "
            f"it has {', '.join(header) or 'none'}."
        )
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise MaskError(f"{path} has the column '{twice}' more than once; name each once.")
    lines.fieldnames = header
    return list(_read_rows(path, lines, members))


def _read_rows(path: Path, lines: Any, members: list[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, start=2):
        cells = {name: (line.get(name) or "").strip() for name in (*members, *_OWN)}
        missing = next((name for name in (*members, "mask", "group") if not cells[name]), None)
        if missing is not None:
            raise MaskError(f"Row {number} of {path} has nothing under '{missing}'; fill it in.")
        yield _Row(
            number,
            {name: path.parent / cells[name] for name in members},
            path.parent / cells["mask"],
            cells["group"],
            path.parent / cells["box"] if cells["box"] else None,
        )


def _thresholds(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise MaskError(f"Thresholds are numbers from 0 to 1 with commas, not '{text}'.") from error


def _write(found: Calibration, files: Mapping[str, Path], overwrite: bool) -> None:
    from napari_cam.files import writing
    from napari_cam.provenance import to_json
    from napari_cam.reports.overlap.threshold_grid import threshold_grid

    with writing(files["json"], overwrite) as temporary:
        temporary.write_text(to_json(found.to_json()), encoding="utf-8")
    rows = found.rows()
    columns = ["what", "box", "thresholds", *(key for key in rows[0] if key != "what")]
    with (
        writing(files["csv"], overwrite) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        written = csv.DictWriter(file, columns, restval="")
        written.writeheader()
        for row in rows:
            cut = " ".join(f"{t:g}" for t in row.get("thresholds", ()))
            written.writerow({**row, "thresholds": cut})
    with writing(files["png"], overwrite) as temporary:
        threshold_grid(found).savefig(temporary, dpi=150)


def _show(found: Calibration) -> None:
    """Print the table: the metric asked for, and foreground IoU and Dice."""
    shown = list(dict.fromkeys([found.metric, "iou_pooled_foreground", "dice_pooled_foreground"]))
    rows = [
        (
            row["what"],
            " ".join(f"{t:g}" for t in row.get("thresholds", ())),
            row.get("box", "") if len(found.boxes) > 1 else "",
            *(f"{row[name]:.3f}" for name in shown),
        )
        for row in found.rows()
        if "training" not in row["what"]
    ]
    header = ("what", "thresholds", "box", *shown)
    keep = [n for n in range(len(header)) if n != 2 or len(found.boxes) > 1]
    lines = [tuple(row[n] for n in keep) for row in rows]
    typer.echo(f"members: {', '.join(found.members)}; {found.cases} cases, {found.images} images")
    typer.echo(
        text_table([header[n] for n in keep], lines, right=range(len(keep) - len(shown), len(keep)))
    )
