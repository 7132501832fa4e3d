"""Reports keep what they say, whatever names they hold, and are written whole or not at all."""

from __future__ import annotations

import base64
import csv
import json
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cam.errors import ReportError, WriteError
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.plotting import label, name_ticks, new_figure
from napari_cam.reports.page.report import Report
from napari_cam.reports.page.tables import COLUMNS, ReportTable, guarded, printable, tidy

HOSTILE = [
    "<script>alert('x')</script>",
    "\"'><img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "C:\\temp\\a|b?*",
    "x" * 300,
    "نمونه ۱",
    "שלום",
    "\u202eabc\u202c",
    '=HYPERLINK("http://example.org","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "  =1+1",
    "＝1+1",
    "﹣1+1",
    "\u200d=1+1",
    "\xa0\u3000+1",
    "a\udcffb",
    "line\r\nbreak",
    "nul\x00byte",
    "$\\frac{a}{b$",
    "_hidden",
    "{{ x }} %s {0}",
    "𝔘𝔫𝔦 日本",
    "",
]


def drawing(name="bars", title="Bars", text="a"):
    def draw():
        figure = new_figure(6, 4)
        axes = figure.add_subplot()
        axes.bar([0, 1], [1, 2])
        axes.set_title(label(text))
        axes.plot([0, 1], [0, 1], label=label(text))
        axes.legend()
        name_ticks(axes, "x", [text, "b"])
        return figure

    return ReportFigure(name, title, draw, "two bars")


def report(names=("a", "b"), **more):
    rows = [
        {"level": "unit", "subject": name, "unit": 3, "class": name, "metric": "iou", "value": 0.25}
        for name in names
    ]
    rows.append({"level": "cohort", "metric": "iou_mean", "value": 0.5, "n": 7, "ci_low": 0.1})
    frame = pd.DataFrame({"name": list(names), "iou": np.linspace(0, 1, len(names))})
    facts = {"title": "A report", "kind": "overlap", "tables": (ReportTable("By name", frame),)}
    return Report(tidy(rows), **(facts | more))


def test_every_column_is_there_and_own_ones_follow():
    table = tidy([{"metric": "iou", "value": 1, "unit": 4, "mine": "x"}])
    assert list(table) == [*COLUMNS, "mine"]
    assert table.loc[0, "subject"] == ""
    assert table.loc[0, "unit"] == 4
    assert np.isnan(table.loc[0, "ci_low"])


def test_a_table_needs_metric_and_value():
    with pytest.raises(ReportError, match="'value'"):
        tidy([{"metric": "iou"}])
    with pytest.raises(ReportError, match="'n' must hold integers"):
        tidy([{"metric": "iou", "value": 1.0, "n": "many"}])


def test_a_table_of_nothing_is_a_table():
    assert list(tidy([])) == [*COLUMNS]


def test_undefined_values_are_counted_by_metric():
    rows = [
        {"level": "unit", "metric": "iou", "value": value} for value in (0.5, np.nan, np.nan)
    ] + [{"level": "unit", "metric": "dice", "value": 0.1}]
    found = Report(tidy(rows), "overlap", "t", empty=np.nan)
    assert found.undefined == {"iou": 2}
    assert "iou 2" in found.summary()
    assert "undefined" in found.policy
    assert Report(tidy(rows), "overlap", "t", empty=1.0).policy == "Two empty masks count as 1."


def test_rows_are_selected_by_value_and_by_list():
    found = report()
    assert found.select(metric="iou", subject="b")["value"].tolist() == [0.25]
    assert len(found.select(subject=["a", "b"])) == 2
    with pytest.raises(ReportError, match="no column 'colour'"):
        found.select(colour="red")


def test_the_summary_holds_title_notes_and_tables():
    text = report(notes=("Read me first.",)).summary()
    assert text.startswith("A report\n- Read me first.")
    assert re.search(r"^name +iou\n", text, re.MULTILINE)
    assert re.search(r"^b +1\.000$", text, re.MULTILINE)


class Reader(HTMLParser):
    """Collects what a browser would load or run, and the text of cells."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def read_page(text):
    reader = Reader()
    reader.feed(text)
    return reader


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_change_nothing(tmp_path, name):
    made = report(
        (name, "b"),
        title=f"Report of {name}",
        notes=(f"Note on {name}",),
        provenance={name: [name]},
        figures=(drawing(name or "x", f"Figure {name}", name),),
    )
    plain = report(("a", "b"), title="t", notes=("n",), figures=(drawing(),))
    page = made.save(tmp_path / "hostile")
    plain.save(tmp_path / "plain")
    hostile, usual = read_page(page.read_text(encoding="utf-8")), read_page(plain.html())
    assert hostile.tags == usual.tags
    allowed = {"class", "dir", "scope", "alt", "src", "lang", "charset", "http-equiv", "content"}
    assert {key for key, _ in hostile.attributes} <= allowed | {"name"}
    assert all(value.startswith("data:image/") for key, value in hostile.attributes if key == "src")
    assert printable(name).strip() in " ".join(hostile.text)
    facts = json.loads((tmp_path / "hostile" / "report.json").read_text(encoding="utf-8"))
    assert facts["provenance"] == {name: [name]}
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert all(re.fullmatch(r"[a-z0-9./-]+", path) for path in files)
    assert len(files) == 2 * 8
    assert max(map(len, files)) < 80


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_of_the_csv_is_a_formula(tmp_path, name):
    table = tidy([{"metric": "iou", "value": -0.5, "subject": name, "unit": 1, name: name}])
    Report(table, "overlap", "t").save(tmp_path)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8-sig") as file:
        header, cells, *rest = csv.reader(file)
    assert not rest
    row = dict(zip(header, cells, strict=True))
    for cell in (*header, row["subject"]):
        assert not cell.lstrip(" \xa0\u3000\u200d").startswith(tuple("=+-@＝＋－＠﹣"))
        assert not any(ord(each) < 32 for each in cell)
    assert row["value"] == "-0.5"  # a number is no formula
    assert row["unit"] == "1"
    kept = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert kept["columns"]["subject"] == [name]


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_guarded_text_is_safe_and_keeps_its_letters(text):
    safe = guarded(text)
    assert not safe.lstrip().startswith(("=", "+", "-", "@"))
    assert safe.removeprefix("'") in (printable(text), printable(text).removeprefix("'"))


@given(st.text(max_size=60))
@settings(max_examples=25, deadline=None)
def test_any_name_can_be_drawn(text):
    drawing(text=text).draw().canvas.draw()


@pytest.mark.parametrize("text", ["W" * 300, "i" * 300, "é" + "\u0301" * 300, "س" * 300])
def test_long_names_take_no_more_room_than_usual_letters(text):
    figure = new_figure(12, 2)
    drawn = figure.text(0, 0, label(text, 20), fontsize=10)
    usual = figure.text(0, 0, "n" * 20, fontsize=10)
    limit = usual.get_window_extent().width
    assert 0 < drawn.get_window_extent().width <= 1.05 * limit
    assert len(label("gradcam++ / densenet121")) == 23  # usual names stay whole


def test_numbers_are_no_formulas():
    assert guarded(-1.5) == -1.5
    assert guarded(None) is None


def test_files_agree_with_the_report(tmp_path):
    made = report(figures=(drawing("Bars of X", "Bars"), drawing("b", "B")), provenance={"seed": 3})
    assert made.save(tmp_path / "new" / "deep").name == "report.html"
    folder = tmp_path / "new" / "deep"
    table = pd.read_csv(folder / "table.csv")
    assert table["value"].tolist() == [0.25, 0.25, 0.5]
    facts = json.loads((folder / "report.json").read_text())
    assert facts["provenance"] == {"seed": 3}
    assert facts["rows"] == {"of_units": 2, "in": "table.csv"}
    assert facts["columns"]["value"] == [0.5]
    assert facts["columns"]["ci_high"] == [None]
    assert facts["tables"][0]["rows"] == [["a", "0.000"], ["b", "1.000"]]
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert names == [
        f"{stem}.{kind}" for stem in ("01-bars-of-x", "02-b") for kind in ("pdf", "png", "svg")
    ]
    heads = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}
    for name in names:
        assert (folder / "figures" / name).read_bytes().startswith(heads[name[-3:]])
    page = (folder / "report.html").read_text()
    shown = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)
    assert [base64.b64decode(each) for each in shown] == [
        (folder / "figures" / f"{stem}.svg").read_bytes() for stem in ("01-bars-of-x", "02-b")
    ]


def test_nothing_is_written_over_or_left_half_done(tmp_path):
    report().save(tmp_path / "r")
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    with pytest.raises(WriteError, match="exists already"):
        report(title="another").save(tmp_path / "r")
    assert {path: path.read_bytes() for path in before} == before

    def broken():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        report(figures=(ReportFigure("f", "F", broken),)).save(tmp_path / "r", overwrite=True)
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(RuntimeError):
        report(figures=(ReportFigure("f", "F", broken),)).save(tmp_path / "s")
    assert not (tmp_path / "s").exists()
    (tmp_path / "r" / "mine.txt").write_text("kept")
    report(title="another").save(tmp_path / "r", overwrite=True)
    assert "another" in (tmp_path / "r" / "report.html").read_text()
    assert (tmp_path / "r" / "mine.txt").read_text() == "kept"


def test_figures_of_the_report_before_are_gone_and_nothing_else(tmp_path):
    report(figures=(drawing(), drawing())).save(tmp_path)
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    (tmp_path / "figures" / "01-mine.png").write_text("kept")
    facts = json.loads((tmp_path / "report.json").read_text())
    assert {name.removeprefix("figures/") for name in facts["figures"]} == drawn
    report(figures=(drawing(),)).save(tmp_path, overwrite=True)
    left = {path.name for path in (tmp_path / "figures").iterdir()}
    assert left == {"01-mine.png"} | {name for name in drawn if name.startswith("01-")}
    facts["figures"] = ["figures/../../gone.png", "table.csv", "figures/01-mine.png", 3]
    (tmp_path / "report.json").write_text(json.dumps(facts))
    (tmp_path.parent / "gone.png").write_text("kept")
    report().save(tmp_path, overwrite=True)
    assert (tmp_path.parent / "gone.png").exists()
    assert (tmp_path / "table.csv").exists()


def test_a_disk_that_fills_up_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    report(figures=(drawing(),)).save(tmp_path / "r")
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    whole, written = type(tmp_path).write_bytes, []

    def full(path, content):
        if path.parent.parent == tmp_path or path.parent.parent == tmp_path / "r":
            written.append(path)
            if len(written) == 5:
                raise OSError(28, "No space left on device")
        return whole(path, content)

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    with pytest.raises(WriteError, match="No space left"):
        report(title="another", figures=(drawing(),)).save(tmp_path / "r", overwrite=True)
    assert len(written) == 5
    after = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    assert after == before


def test_columns_that_look_alike_once_guarded_both_stay(tmp_path):
    table = tidy([{"metric": "iou", "value": 1.0, "=x": 1, "'=x": 2}])
    Report(table, "overlap", "t").save(tmp_path)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8-sig") as file:
        header, cells = csv.reader(file)
    assert (header[-2:], cells[-2:]) == (["'=x", "'=x"], ["1", "2"])


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(WriteError, match="is a file"):
        report().save(tmp_path / "f")
    with pytest.raises(WriteError):
        report().save(tmp_path / ("n" * 300))


def test_matplotlib_stays_as_it_was(tmp_path):
    import matplotlib.pyplot as plt

    backend, settings_before = mpl.get_backend(), dict(mpl.rcParams)
    report(figures=(drawing(),)).save(tmp_path)
    assert mpl.get_backend() == backend
    assert dict(mpl.rcParams) == settings_before
    assert plt.get_fignums() == []


def test_long_tables_are_cut_on_the_page_but_not_in_the_csv():
    frame = pd.DataFrame({"x": range(1000)})
    page = report(tables=(ReportTable("Long", frame),)).html()
    assert "700 more rows stand in table.csv" in page
    assert len(page) < 60_000


def test_the_report_cannot_be_changed_from_outside():
    table = tidy([{"metric": "iou", "value": 1.0}])
    made = Report(table, "overlap", "t")
    table.loc[0, "value"] = 0.0
    assert made.table["value"].tolist() == [1.0]
