"""What goes wrong: other grids, cancel, errors, files in the way, hostile names, closed windows."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QLabel,
)

from napari_cam.reports.page.overlay import FN, FP, TN, TP
from napari_cam.widgets.docks.reports.work import reporting
from tests.widgets.docks.reports.conftest import (
    IN_P,
    IN_R,
    WAIT,
    X,
    add_heatmap,
    add_labels,
    find,
    go_to,
    heatmap,
    make,
    refer_to,
    rest,
)

HOSTILE = (
    "<script>alert('x')</script>",
    '"><img src=x onerror=alert(1)>',
    "../../etc/passwd",
    "C:\\nul\\con.txt:stream",
    '=HYPERLINK("http://x")',
    "x" * 300,
    "\u202egnp.exe\u202c שלום עולם",
    "a\tb\nc",
    "<b>bold</b>",
)


class Gate:
    """Holds a report back at its first step until the test lets it go."""

    def __init__(self, monkeypatch):
        self.open, self.reached = threading.Event(), threading.Event()
        whole = reporting.Progress.tick

        def gated(progress):
            self.reached.set()
            assert self.open.wait(30)
            whole(progress)

        monkeypatch.setattr(reporting.Progress, "tick", gated)


@pytest.fixture
def gate(monkeypatch):
    made = Gate(monkeypatch)
    yield made
    made.open.set()


def begin(qtbot, dock, gate):
    dock.choose.run.click()
    qtbot.waitUntil(gate.reached.is_set, timeout=WAIT)


def test_cancel_ends_the_report_and_keeps_the_one_before(qtbot, dock, gate, told):
    gate.open.set()
    first = make(qtbot, dock)
    gate.open.clear()
    gate.reached.clear()
    begin(qtbot, dock, gate)
    assert not dock.choose.run.isEnabled()
    assert dock.choose.cancel.isVisibleTo(dock)
    assert dock.choose.bar.isVisibleTo(dock)
    dock.choose.cancel.click()
    assert "Cancelling" in dock.choose.cancel.text()
    gate.open.set()
    rest(qtbot, dock)
    assert dock.state.finished.report is first
    assert "Cancelled" in dock.choose.said.text()
    assert dock.choose.run.isEnabled()
    assert not told, "who cancels knows it"
    make(qtbot, dock)
    assert dock.state.finished.report is not first


def test_closing_the_dock_while_a_report_is_made(qtbot, viewer, dock, gate, open_dock):
    begin(qtbot, dock, gate)
    viewer.window.remove_dock_widget(dock)
    gate.open.set()
    viewer.layers.remove("P")
    second = open_dock(viewer)
    refer_to(second, "outline")
    make(qtbot, second)
    assert dock.state.finished is None


def test_closing_the_viewer_while_a_report_is_made(qtbot, make_napari_viewer, gate, open_dock):
    from tests.widgets.docks.reports.conftest import add_image

    viewer = make_napari_viewer()
    image = add_image(viewer)
    add_heatmap(viewer, image, heatmap(IN_P, 0.9, "gradcam"), "P")
    add_labels(viewer, image, IN_R, "outline")
    dock = open_dock(viewer)
    refer_to(dock, "outline")
    begin(qtbot, dock, gate)
    viewer.close()
    gate.open.set()
    qtbot.wait(300)
    assert not dock.reporter.running


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("odd shapes"), "unexpected RuntimeError: odd shapes"),
        (MemoryError(), "Memory ran out"),
    ],
)
def test_an_error_in_the_worker_is_one_sentence(qtbot, dock, monkeypatch, told, error, said):
    first = make(qtbot, dock)

    def failing(*_args):
        raise error

    monkeypatch.setattr(reporting, "_of_masks", failing)
    dock.choose.run.click()
    rest(qtbot, dock)
    assert said in dock.problem.text()
    assert told == [dock.problem.text()]
    assert dock.state.finished.report is first
    assert dock.choose.run.isEnabled()


def finer(viewer, name):
    """The reference on a grid with half the pixel size along x, in the same place."""
    labels = np.repeat(IN_R, 2, axis=2).astype(np.uint8)
    layer = Labels(
        labels,
        name=name,
        scale=(3.0, 0.5, 0.375),
        translate=(0, 0, -0.1875),
        units=("mm",) * 3,
        axis_labels=("z", "y", "x"),
    )
    viewer.add_layer(layer)
    return layer


def test_another_grid_is_refused_with_both_named(qtbot, viewer, dock):
    finer(viewer, "fine")
    refer_to(dock, "fine")
    dock.choose.run.click()
    rest(qtbot, dock)
    said = dock.problem.text()
    assert "'fine' lies on a grid of (3, 4, 12) voxels of 3 x 0.5 x 0.375 mm" in said
    assert "the image on a grid of (3, 4, 6) voxels of 3 x 0.5 x 0.75 mm" in said
    assert dock.state.finished is None


def test_another_grid_is_resampled_where_that_is_ticked(qtbot, viewer, dock):
    finer(viewer, "fine")
    refer_to(dock, "fine")
    dock.choose.resample.setChecked(True)
    report = make(qtbot, dock)
    rows = report.select(
        metric="iou_foreground", level="unit", method_a="gradcam", threshold_a="fixed(0.5)"
    )
    np.testing.assert_allclose(rows["value"], [8 / 12, 0, np.nan])
    go_to(dock, find(dock, slice="0"))
    rest(qtbot, dock)
    layer = viewer.layers["report: right and wrong"]
    np.testing.assert_array_equal(
        layer.data, np.select([IN_P & IN_R, IN_P, IN_R], [TP, FP, FN], TN)
    )


def test_labels_of_nobody_lie_where_the_viewer_shows_them(qtbot, viewer, dock):
    layer = finer(viewer, "fine")
    layer.units = ("pixel",) * 3  # as napari's own layers are
    refer_to(dock, "fine")
    dock.choose.resample.setChecked(True)
    report = make(qtbot, dock)
    rows = report.select(
        metric="iou_foreground", level="unit", method_a="layercam", threshold_a="fixed(0.5)"
    )
    np.testing.assert_allclose(rows["value"], [1, 0, 0])


def test_files_are_written_and_replaced_only_when_asked(qtbot, dock, tmp_path, monkeypatch):
    make(qtbot, dock)
    folder = tmp_path / "report"
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_a, **_k: str(folder))
    dock.result.save.click()
    rest(qtbot, dock)
    assert {"report.html", "report.json", "table.csv", "figures"} <= {
        each.name for each in folder.iterdir()
    }
    assert str(folder) in dock.result.done.text()
    (folder / "table.csv").write_text("mine")
    dock.result.save.click()
    rest(qtbot, dock)
    assert "is there already" in dock.result.done.text()
    assert dock.result.replace.isVisibleTo(dock)
    assert (folder / "table.csv").read_text() == "mine"
    dock.result.replace.click()
    rest(qtbot, dock)
    assert "iou_foreground" in (folder / "table.csv").read_text()
    assert not dock.result.replace.isVisibleTo(dock)
    blocked = tmp_path / "file"
    blocked.write_text("x")
    dock.saver.save(blocked / "below")
    rest(qtbot, dock)
    assert dock.problem.text()


def test_rows_are_copied_for_a_spreadsheet(qtbot, dock):
    make(qtbot, dock)
    dock.result.copy.click()
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 1 + dock.result.table.model.rowCount()
    header = lines[0].split("\t")
    assert float(lines[1].split("\t")[header.index("value")]) == pytest.approx(8 / 12)
    dock.result.table.view.selectAll()
    dock.result.copy.click()
    assert len(QApplication.clipboard().text().splitlines()) == len(lines)


@pytest.mark.parametrize("own_names", [False, True])
def test_hostile_names_change_nothing(qtbot, viewer, dock, tmp_path, own_names):
    image = viewer.layers["scan"]
    for place, name in enumerate(HOSTILE):
        add_heatmap(viewer, image, heatmap(place % 5 < X, 0.9, "gradcam"), name)
    viewer.layers["outline"].name = HOSTILE[0]
    image.name = HOSTILE[1]
    refer_to(dock, HOSTILE[0])
    dock.choose.names.setChecked(own_names)
    report = make(qtbot, dock)
    for label in dock.findChildren(QLabel):
        rich = label.textFormat() == Qt.TextFormat.RichText
        assert not rich, label.text()
        if any(part in label.text() for part in ("script", "<b>", "<img")):
            assert label.textFormat() == Qt.TextFormat.PlainText
    model = dock.result.table.model
    for row in range(model.rowCount()):
        for column in range(model.columnCount()):
            tip = model.data(model.index(row, column), Qt.ItemDataRole.ToolTipRole)
            assert "<script" not in tip
            assert "\u202e" not in model.data(model.index(row, column))
    for row in range(0, model.rowCount(), 3):
        go_to(dock, row)
        rest(qtbot, dock)
        assert not dock.problem.text()
    folder = tmp_path / "report"
    dock.saver.save(folder)
    rest(qtbot, dock)
    assert not dock.problem.text()
    page = (folder / "report.html").read_text()
    assert "<script" not in page.lower()
    assert "<img src=x" not in page
    written = [each.relative_to(folder) for each in folder.rglob("*") if each.is_file()]
    assert all(len(each.name) < 64 and each.parts[0] != ".." for each in written)
    assert not any("passwd" in each.name or "script" in each.name for each in written)
    table = (folder / "table.csv").read_text()
    assert "\n=HYPERLINK" not in table
    assert ",=HYPERLINK" not in table
    if not own_names:
        everything = page + table + (folder / "report.json").read_text()
        assert "passwd" not in everything, "names of layers may be names of patients"
    assert report.provenance["subjects"] == 1
    assert {Path(each).suffix for each in map(str, written)} <= {
        ".html", ".json", ".csv", ".svg", ".pdf", ".png",
    }  # fmt: skip


def test_layers_go_while_and_after_a_report_is_made(qtbot, viewer, dock, gate):
    begin(qtbot, dock, gate)
    viewer.layers.remove("Q")
    gate.open.set()
    rest(qtbot, dock)
    report = dock.state.finished.report
    assert "layercam" in set(report.table["method_a"]), "it was there when it was asked for"
    viewer.layers.remove("scan")
    go_to(dock, 0)
    rest(qtbot, dock)
    assert "image of this report was removed" in dock.problem.text()
    assert dock.state.finished.report is report
    assert "File > Open" in dock.choose.run.toolTip()


def test_a_painted_comparison_is_left_to_its_painter(qtbot, viewer, dock):
    make(qtbot, dock)
    go_to(dock, 0)
    rest(qtbot, dock)
    layer = viewer.layers["report: right and wrong"]
    layer.data_setitem(tuple(np.array([[0], [0], [0]])), 0)
    painted = layer.data.copy()
    go_to(dock, 1)
    rest(qtbot, dock)
    np.testing.assert_array_equal(layer.data, painted)
    assert len([each for each in viewer.layers if "right and wrong" in each.name]) == 2
