"""A report as one HTML page: no network, no script, every name escaped."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence

import pandas as pd

from napari_cam.provenance import plain
from napari_cam.reports.page.contents import ReportContents
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.plotting import drawn
from napari_cam.reports.page.tables import ReportTable, printable

_MOST_ROWS = 300  # of one table on the page; the rest stands in the CSV
_LARGEST_VECTOR = 150_000  # bytes; a larger drawing is shown as PNG
_LARGEST_PICTURES = 6_000_000  # bytes of all figures on the page
_LONGEST_RECORD = 60_000  # letters of provenance
_LONG_WORD = 24  # letters; a longer one may be broken anywhere, or it would widen the table

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  color: #1b1f24; background: #fff; max-width: 84rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h1, h2, p, li, td, th, figcaption { overflow-wrap: break-word; unicode-bidi: isolate; }
h1, h2, p, li, figcaption, .long { overflow-wrap: anywhere; }
.long { min-width: 14rem; }
.kind { color: #57606a; margin: 0 0 1rem; }
.notes { background: #f6f8fa; border-left: 4px solid #0072b2; padding: .6rem 1rem .6rem 2rem;
  margin: 1rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; color: #57606a; padding: .4rem 0; }
th, td { padding: .22rem .7rem; border-bottom: 1px solid #d8dee4; text-align: left;
  vertical-align: top; max-width: 22rem; }
th { border-bottom: 2px solid #1b1f24; }
td.number, th.number { text-align: right; }
figure { margin: 1.2rem 0 2rem; break-inside: avoid; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #57606a; font-size: .9rem; }
details pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .78rem;
  background: #f6f8fa; padding: .8rem; }
@media print {
  @page { size: landscape; margin: 1.2cm; }
  body { max-width: none; margin: 0; padding: 0; font-size: 10.5pt; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  details { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  th, td { padding: .15rem .4rem; }
}
"""


def page_of(report: ReportContents, pictures: Sequence[tuple[bytes, bytes]] | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    report
        What to show.
    pictures
        (SVG, PNG) of each figure where they are drawn already.
    """
    title = _text(report.title)
    sentences = [*report.notes, *([report.policy] if report.policy else [])]
    if report.undefined:
        counted = ", ".join(f"{name} {count}" for name, count in report.undefined.items())
        sentences.append(f"Undefined values, of all maps and thresholds together: {counted}.")
    notes = "".join(f'<li dir="auto">{_text(each)}</li>' for each in sentences)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        # Nothing may be loaded or run, whatever a name holds.
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f'<h1 dir="auto">{title}</h1>',
        f'<p class="kind">{_text(report.kind)} report of napari-cam</p>',
        f'<ul class="notes">{notes}</ul>' if notes else "",
        *(_table(each) for each in report.tables),
        *_figures(report.figures, pictures),
        _record(report),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _text(value: object) -> str:
    return html.escape(printable(str(value)), quote=True)


def _table(table: ReportTable) -> str:
    """Return a table; numbers are aligned at their right."""
    cells = table.cells()
    head = "".join(_header(str(name), cells[name]) for name in cells.columns)
    shown = cells.head(_MOST_ROWS)
    body = "".join(
        f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in shown.to_numpy().tolist()
    )
    left = len(cells) - len(shown)
    more = f" {left} more rows stand in table.csv." if left else ""
    caption = f"<caption>{_text(table.caption + more)}</caption>" if table.caption or more else ""
    return (
        f'<section><h2 dir="auto">{_text(table.title)}</h2><div class="scroll"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _header(name: str, column: pd.Series) -> str:
    """Return a header, which may be broken before a bracket, above numbers at their right."""
    numbers = len(column) > 0 and all(map(_is_number, column))
    return (
        f'<th scope="col" dir="auto"{" class=number" if numbers else ""}>'
        f"{_text(name).replace('(', '<wbr>(')}</th>"
    )


def _is_number(value: str) -> bool:
    return value == "–" or bool(
        pd.notna(pd.to_numeric(value.split(" ")[0].lstrip("<"), errors="coerce"))
    )


def _cell(value: str) -> str:
    """Return a cell; a number may be parted from its interval, but no interval in two."""
    if _is_number(value):
        first, _, rest = value.partition(" ")
        shown = f"{first} {rest.replace(' ', chr(0xA0))}" if rest else first
        return f'<td class="number">{_text(shown)}</td>'
    long = any(len(word) > _LONG_WORD for word in value.split())
    return f'<td dir="auto"{" class=long" if long else ""}>{_text(value)}</td>'


def _figures(
    figures: Sequence[ReportFigure], pictures: Sequence[tuple[bytes, bytes]] | None
) -> list[str]:
    """Return the figures as long as the page stays small enough to be sent by mail."""
    shown, size, left = [], 0, 0
    for place, each in enumerate(figures):
        kind, content = _picture(each, None if pictures is None else pictures[place])
        if size + len(content) > _LARGEST_PICTURES:
            left += 1
            continue
        size += len(content)
        data = base64.b64encode(content).decode("ascii")
        shown.append(
            f'<figure><h2 dir="auto">{_text(each.title)}</h2>'
            f'<img alt="{_text(each.title)}" src="data:image/{kind};base64,{data}">'
            f"<figcaption>{_text(each.caption)}</figcaption></figure>"
        )
    if left:
        shown.append(f"<p>{left} more figures stand in the folder figures.</p>")
    return shown


def _picture(shown: ReportFigure, drawn_already: tuple[bytes, bytes] | None) -> tuple[str, bytes]:
    """Return a figure as SVG where that is small, else as PNG."""
    if drawn_already is not None:
        vector, points = drawn_already
        small = not shown.picture and len(vector) <= _LARGEST_VECTOR
        return ("svg+xml", vector) if small else ("png", points)
    figure = shown.draw()
    vector = b"" if shown.picture else drawn(figure, "svg")
    small = 0 < len(vector) <= _LARGEST_VECTOR
    return ("svg+xml", vector) if small else ("png", drawn(figure, "png"))


def _record(report: ReportContents) -> str:
    """Return what made the report, folded."""
    record = json.dumps(plain(report.provenance), indent=1, ensure_ascii=False)
    if len(record) > _LONGEST_RECORD:
        record = f"{record[:_LONGEST_RECORD]}\n... all of it stands in report.json"
    escaped = html.escape("\n".join(printable(line) for line in record.split("\n")), quote=True)
    return f"<details><summary>What made this report</summary><pre>{escaped}</pre></details>"
