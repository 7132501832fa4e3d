"""``napari-cam demo --window``: what stands in the window, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import napari
import pytest

from napari_cam.cli.commands import demo
from napari_cam.cli.main import main
from napari_cam.widgets.files.demo_window import show_demo


def test_the_demos_files_stand_in_the_window(
    make_napari_viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = {}
    monkeypatch.setattr(demo, "no_window_because", lambda: None)
    monkeypatch.setattr(demo, "open_window", lambda _, **files: opened.update(files))
    assert main(["demo", "--out", str(tmp_path / "demo"), "--window"]) == 0
    viewer = make_napari_viewer()
    monkeypatch.setattr(napari, "Viewer", lambda **_: viewer)
    show_demo(**opened, wait=False)
    kinds = [layer.metadata["napari_cam"]["kind"] for layer in viewer.layers]
    assert kinds[:2] == ["image", "heatmap"]
    names = [layer.name for layer in viewer.layers]
    assert names == ["cod fillet", "Grad-CAM (damaged)", "mask of Grad-CAM", "damage (truth)"]
    assert {tuple(layer.extent.world[1]) for layer in viewer.layers} == {
        tuple(viewer.layers[0].extent.world[1])
    }
    assert (viewer.layers[3].data > 0).sum() > 1000
    assert "CAM (napari-cam)" in dict(viewer.window.dock_widgets)


def test_without_a_display_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert main(["demo", "--out", str(tmp_path / "demo"), "--window"]) == 0
    assert "No window: there is no display. Everything is in" in capsys.readouterr().out
    assert (tmp_path / "demo" / "contact_sheet.png").is_file()


def test_without_napari_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    assert "pip install 'napari-cam[all]'" in str(demo.no_window_because())
