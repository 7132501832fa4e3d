"""The table: sorted by number, what is undefined last, fast with a hundred thousand rows."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPersistentModelIndex, Qt

from napari_cam.reports.page.tables import tab_separated, tidy
from napari_cam.widgets.docks.reports.views.table_model import RowsModel
from napari_cam.widgets.docks.reports.views.table_pane import TablePane
from napari_cam.widgets.docks.reports.work.tabulating import columns_of

UP, DOWN = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


def rows(**columns):
    return tidy(pd.DataFrame({"level": "unit", "metric": "iou", **columns}))


def place(model, key):
    return next(n for n, column in enumerate(model.columns) if column.key == key)


def shown(model, key):
    column = place(model, key)
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


@pytest.fixture
def model(qtbot):
    made = RowsModel()
    table = rows(
        unit=[0, 1, 2, 10, 3],
        value=[0.5, np.nan, 10.0, 9.0, 0.25],
        method_a=["b", "a", "b", "a", "b"],
        n=[1, 2, 3, 4, 5],
    )
    made.show_columns(columns_of(table), {})
    return made


def test_numbers_are_sorted_as_numbers_and_nan_is_last(model):
    model.sort(place(model, "value"), UP)
    assert shown(model, "value") == ["0.25", "0.5", "9", "10", "–"]
    model.sort(place(model, "value"), DOWN)
    assert shown(model, "value") == ["10", "9", "0.5", "0.25", "–"]
    model.sort(place(model, "unit"), DOWN)
    assert shown(model, "unit") == ["10", "3", "2", "1", "0"]


def test_ties_stay_in_their_order(model):
    model.sort(place(model, "map"), UP)
    assert shown(model, "unit") == ["1", "10", "0", "2", "3"]
    model.sort(place(model, "map"), DOWN)
    assert shown(model, "unit") == ["0", "2", "3", "1", "10"]


def test_filters_and_order_live_together(model):
    model.sort(place(model, "value"), DOWN)
    model.want("map", "b")
    assert shown(model, "value") == ["10", "0.5", "0.25"]
    assert model.rows.tolist() == [2, 0, 4]
    model.want("map", "nobody")
    assert model.rowCount() == 0
    model.want("map", None)
    assert shown(model, "value") == ["10", "9", "0.5", "0.25", "–"]


def test_columns_that_say_nothing_are_left_out(model):
    titles = [column.title for column in model.columns]
    assert titles == ["level", "slice", "map", "metric", "value", "n"]
    assert model.headerData(1, Qt.Orientation.Horizontal) == "slice"


def test_what_is_selected_stays_selected(model):
    held = QPersistentModelIndex(model.index(2, 0))  # of slice 2
    model.sort(place(model, "value"), UP)
    assert held.row() == 3


def test_the_pane_tells_each_row_once(qtbot):
    pane = TablePane()
    qtbot.addWidget(pane)
    pane.show_columns(columns_of(rows(unit=[0, 1, 2], value=[3.0, 1.0, 2.0])), {})
    told = []
    pane.row_chosen.connect(told.append)
    pane.view.setCurrentIndex(pane.model.index(1, 0))
    assert told == [1]
    pane.view.sortByColumn(place(pane.model, "value"), UP)
    assert pane.view.currentIndex().row() == 0, "the row moves, and is no other"
    assert told == [1]
    pane.view.setCurrentIndex(pane.model.index(2, 0))
    assert told == [1, 0]
    pane.show_columns(columns_of(rows(unit=[7], value=[1.0])), {"level": "cohort"})
    assert pane.model.rowCount() == 1, "where nothing is as wanted all is shown"


def test_a_hundred_thousand_rows(qtbot):
    n = 100_000
    rng = np.random.default_rng(0)
    table = rows(
        unit=rng.integers(0, 300, n),
        value=rng.random(n),
        method_a=rng.choice(["gradcam", "layercam", "eigencam"], n),
        threshold_a=rng.choice([f"fixed(0.{k})" for k in range(1, 10)], n),
    )
    began = time.perf_counter()
    pane = TablePane()
    qtbot.addWidget(pane)
    pane.show_columns(columns_of(table), {})
    pane.show()
    for order in (UP, DOWN):
        pane.view.sortByColumn(place(pane.model, "value"), order)
    pane.choose("map", "layercam")
    assert time.perf_counter() - began < 10, "a proxy that asks Python takes a minute"
    values = table["value"][table["method_a"] == "layercam"]
    assert pane.model.rowCount() == len(values)
    assert shown(pane.model, "value")[0] == f"{values.max():.4g}"


def test_copied_rows_have_tabs_and_no_formulas():
    table = rows(unit=[3], value=[0.1], method_a=["=cmd()\t\nx"])
    lines = tab_separated(table).splitlines()
    assert lines[0].split("\t") == ["level", "unit", "method_a", "metric", "value"]
    assert lines[1].split("\t") == ["unit", "3", "'=cmd()  x", "iou", "0.1"]
    assert len(lines) == 2
