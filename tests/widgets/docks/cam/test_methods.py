"""The list of methods: slow ones last and said to be, input methods without a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from qtpy.QtCore import Qt

from napari_cam.cams.methods import table as methods
from napari_cam.cams.methods.gradient import GradCAM


@dataclass(frozen=True)
class Slow(GradCAM):
    """Stands for a method that runs the network many times."""

    name: ClassVar[str] = "slow"
    title: ClassVar[str] = "Slow-CAM"
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "rescoring"})


@dataclass(frozen=True)
class OfInput(Slow):
    """Stands for a method whose map lies at the network's input."""

    name: ClassVar[str] = "of-input"
    title: ClassVar[str] = "Input map"
    space = "input"


@pytest.fixture
def more(monkeypatch):
    """Two methods more, the slow ones in front."""
    table = {"slow": Slow(), "of-input": OfInput(), **methods.METHODS}
    monkeypatch.setattr(methods, "METHODS", table)


def row_of(step, title):
    (item,) = step.methods.findItems(title, Qt.MatchFlag.MatchExactly)
    return item


def test_slow_methods_stand_at_the_end(more, dock):
    step = dock.network_step
    titles = [step.methods.item(row).text() for row in range(step.methods.count())]
    place = titles.index("Slow: run the network many times")
    assert titles[place + 1 :][:2] == ["Slow-CAM", "Input map"]
    assert {"Grad-CAM", "Layer-CAM"} <= set(titles[:place])
    heading = step.methods.item(place)
    assert not heading.flags() & Qt.ItemFlag.ItemIsUserCheckable
    assert not heading.flags() & Qt.ItemFlag.ItemIsSelectable
    assert "many times" in row_of(step, "Slow-CAM").toolTip()
    assert [each.name for each in step.methods.chosen] == ["gradcam"], "the default stays"
    assert 100 < step.methods.height() < 400


def test_input_methods_need_no_layer(more, dock):
    step = dock.network_step
    row_of(step, "Grad-CAM").setCheckState(Qt.CheckState.Unchecked)
    row_of(step, "Input map").setCheckState(Qt.CheckState.Checked)
    assert [each.name for each in step.methods.chosen] == ["of-input"]
    assert not step.layers.isEnabled()
    assert "no layer is chosen" in step.layers.toolTip()
    row_of(step, "Slow-CAM").setCheckState(Qt.CheckState.Checked)
    assert step.layers.isEnabled()
