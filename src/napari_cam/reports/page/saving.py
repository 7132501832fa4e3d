"""A report's files: all made first, then put in place."""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_cam.errors import WriteError
from napari_cam.files import check_writable, writing_all
from napari_cam.provenance import plain
from napari_cam.reports.page.contents import ReportContents
from napari_cam.reports.page.html import page_of
from napari_cam.reports.page.plotting import drawn
from napari_cam.reports.page.tables import write_csv

FORMAT_VERSION = 1
_LONGEST = 40
_FIGURE = re.compile(r"figures/\d\d-[a-z0-9-]+\.(svg|pdf|png)")


def save_report(report: ReportContents, folder: Path, overwrite: bool) -> Path:
    """Write all files of a report to `folder` and return the page.

    Raises
    ------
    WriteError
        Where a file exists already or the folder cannot be written.
    """
    made = _make(folder)
    former = _former_figures(folder)
    try:
        names = [*_figure_files(report), "table.csv", "report.json", "report.html"]
        targets = [folder / name for name in names]
        for target in targets:
            if target.parent.is_dir():
                check_writable(target, overwrite)
        with tempfile.TemporaryDirectory(prefix="napari-cam-report-") as temporary:
            _write(report, Path(temporary))
            _place(Path(temporary), folder, names, overwrite)
        for name in former.difference(names):  # of a report that is there no more
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(
            f"The report could not be written to {folder} ({error.strerror or error}); "
            "free some space or choose another folder."
        ) from error
    finally:
        for each in reversed(made):
            with suppress(OSError):
                each.rmdir()  # only where nothing came into it
    return folder / "report.html"


def facts_of(report: ReportContents) -> dict[str, Any]:
    """Return a report as plain JSON: what it says, what made it, and the rows beyond units."""
    rows = report.table[report.table["level"] != "unit"]
    columns = {name: _column(rows[name].tolist()) for name in rows}
    tables = [
        {"title": each.title, "caption": each.caption, "columns": list(each.cells().columns)}
        | {"rows": each.cells().to_numpy().tolist()}
        for each in report.tables
    ]
    facts: dict[str, Any] = plain(
        {
            "napari_cam_report": FORMAT_VERSION,
            "kind": report.kind,
            "title": report.title,
            "notes": report.notes,
            "empty_masks": report.policy,
            "undefined": report.undefined,
            "provenance": report.provenance,
            "tables": tables,
            "figures": _figure_files(report),
            "rows": {"of_units": int(len(report.table) - len(rows)), "in": "table.csv"},
            "columns": columns,
        }
    )
    return facts


def _column(values: list[Any]) -> list[Any]:
    return [None if value is not None and value != value else value for value in map(_bare, values)]


def _bare(value: Any) -> Any:
    return None if type(value).__name__ == "NAType" else value


def _compact(facts: dict[str, Any]) -> str:
    """Return facts as JSON, a line for each: columns of numbers are no reading matter."""
    lines = (
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for key, value in facts.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that did not exist."""
    paths = (folder / "figures", folder, *folder.parents)
    missing = [each for each in paths if not os.path.exists(each)]
    made: list[Path] = []
    if os.path.isfile(folder):
        raise WriteError(f"{folder} is a file; give a folder to write to.")
    try:
        for each in reversed(missing):
            each.mkdir()
            made.append(each)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"The folder {str(folder)[:200]} cannot be made ({reason}); choose another one."
        ) from error
    return made


def _figure_files(report: ReportContents) -> list[str]:
    """Return the paths of all figures' files below the folder."""
    stems = (
        f"figures/{place:02d}-{_stem(each.name)}" for place, each in enumerate(report.figures, 1)
    )
    return [f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf", "png")]


def _former_figures(folder: Path) -> set[str]:
    """Return the figures that the report in `folder` says are its own; none where there is none."""
    try:
        listed = json.loads((folder / "report.json").read_text(encoding="utf-8"))["figures"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
    names = listed if isinstance(listed, list) else []
    # Nothing but what this module would have written: the file may be anybody's.
    return {each for each in names if isinstance(each, str) and _FIGURE.fullmatch(each)}


def _stem(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST].strip("-") or "figure"


def _write(report: ReportContents, folder: Path) -> None:
    """Make every file in a folder of its own."""
    (folder / "figures").mkdir()
    pictures: list[tuple[bytes, bytes]] = []
    for place, each in enumerate(report.figures, 1):
        figure = each.draw()
        stem = f"{place:02d}-{_stem(each.name)}"
        made = {kind: drawn(figure, kind) for kind in ("svg", "pdf", "png")}
        for kind, content in made.items():
            (folder / "figures" / f"{stem}.{kind}").write_bytes(content)
        pictures.append((made["svg"], made["png"]))
    write_csv(report.table, folder / "table.csv")
    # Half a pair of code units, as in a file's name that is no text, becomes JSON's own escape.
    (folder / "report.json").write_text(
        _compact(facts_of(report)), encoding="utf-8", errors="backslashreplace"
    )
    (folder / "report.html").write_text(page_of(report, pictures), encoding="utf-8")


def _place(source: Path, folder: Path, names: list[str], overwrite: bool) -> None:
    """Put finished files where they belong, all of them or none."""
    with writing_all([folder / name for name in names], overwrite) as temporaries:
        for name, temporary in zip(names, temporaries, strict=True):
            temporary.write_bytes((source / name).read_bytes())
