"""What goes wrong while people click: nothing freezes, nothing vanishes, nothing is shown twice."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QComboBox,
    QLineEdit,
    QTextEdit,
)

import napari_cam as nc
from napari_cam.errors import DeviceError
from napari_cam.widgets.docks.cam.control import explainer as explaining
from napari_cam.widgets.docks.cam.tooltips import TOOLTIPS
from napari_cam.widgets.docks.cam.work import running
from tests.widgets.docks.cam.conftest import add_volume, tick


def finish(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=60_000)


class Gate:
    """Lets a run through slice by slice, from the test."""

    def __init__(self, monkeypatch):
        self.open = threading.Semaphore(0)
        self.waiting = threading.Event()
        whole = running.run_request

        def gated(*args):
            for news in whole(*args):
                yield news
                if not news.finished:
                    self.waiting.set()
                    assert self.open.acquire(timeout=30)
                    self.waiting.clear()

        monkeypatch.setattr(explaining, "run_request", gated)
        monkeypatch.setattr(running, "_EVERY_S", 0.0)
        monkeypatch.setattr(running, "_SHARE", 0)
        monkeypatch.setattr("napari_cam.cams.plan._AUTO_BATCH", {("cpu", 2): 2, ("cpu", 3): 1})

    def let(self, qtbot, n=1):
        for _ in range(n):
            qtbot.waitUntil(self.waiting.is_set, timeout=30_000)
            self.waiting.clear()
            self.open.release()
        qtbot.waitUntil(self.waiting.is_set, timeout=30_000)

    def let_all(self):
        self.open.release(1000)


@pytest.fixture
def gate(monkeypatch):
    made = Gate(monkeypatch)
    yield made
    made.let_all()


def fail_with(monkeypatch, error):
    def failing(*args):
        yield running.Progress(0, 9, 0.0, None)
        raise error

    monkeypatch.setattr(explaining, "run_request", failing)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("shapes 3x4 and 5x6 cannot be multiplied"), "unexpected RuntimeError"),
        (ValueError("odd"), "unexpected ValueError: odd"),
        (MemoryError(), "Memory ran out"),
        (DeviceError("One unit does not fit."), "One unit does not fit."),
    ],
    ids=["runtime", "value", "memory", "named"],
)
def test_an_error_in_the_worker_is_told(
    qtbot, dock, monkeypatch, silent_notifications, error, said
):
    fail_with(monkeypatch, error)
    dock.heatmap_step.run.click()
    finish(qtbot, dock)
    assert said in dock.problem.text()
    assert silent_notifications == [dock.problem.text()]
    assert dock.heatmap_step.run.isEnabled(), "one can try again"
    assert not dock.heatmap_step.bar.isVisibleTo(dock)


def test_memory_that_runs_out_in_torch_is_told(qtbot, dock, monkeypatch):
    def out_of_memory(*args):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("napari_cam.cams.plan.compute", out_of_memory)
    dock.heatmap_step.run.click()
    finish(qtbot, dock)
    assert "does not fit into the memory" in dock.problem.text()


def test_cancel_keeps_the_finished_slices(qtbot, viewer, dock, gate):
    fillet = viewer.layers["fillet"]
    viewer.dims.set_point(0, fillet.data_to_world((5, 0, 0))[0])
    dock.heatmap_step.run.click()
    gate.let(qtbot, 2)  # the slice on screen, then one batch of two is under way
    dock.heatmap_step.cancel.click()
    assert "Cancelling" in dock.heatmap_step.cancel.text()
    gate.let_all()
    finish(qtbot, dock)
    heatmap = dock.state.heatmaps[0].result.heatmap
    done = np.flatnonzero(heatmap.inside.any(axis=(1, 2))).tolist()
    assert 5 in done
    assert 3 <= len(done) < 9
    assert f"Cancelled: {len(done)} of 9 slices" in dock.heatmap_step.time.text()
    shown = viewer.layers["Grad-CAM: predicted"].data
    np.testing.assert_array_equal(shown, heatmap.values)
    assert shown[5].max() > 0


def test_run_pressed_twice_runs_once(qtbot, viewer, dock, gate):
    dock.heatmap_step.run.click()
    assert not dock.heatmap_step.run.isEnabled()
    assert "under way" in dock.heatmap_step.run.toolTip()
    dock.run()
    dock.preview()
    gate.let_all()
    finish(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["fillet", "Grad-CAM: predicted"]


def test_a_removed_image_ends_its_run(qtbot, viewer, dock, gate):
    dock.heatmap_step.run.click()
    gate.let(qtbot)
    viewer.layers.remove("fillet")
    gate.let_all()
    finish(qtbot, dock)
    assert "removed while it was explained" in dock.problem.text()
    assert not dock.heatmap_step.run.isEnabled()
    assert "There is no image" in dock.heatmap_step.run.toolTip()
    assert "There is no image" in dock.image_step.hint.text()


def test_a_heatmap_removed_during_its_run_stays_removed(qtbot, viewer, dock, gate):
    dock.heatmap_step.run.click()
    gate.let(qtbot, 2)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10_000)
    viewer.layers.remove("Grad-CAM: predicted")
    gate.let_all()
    finish(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["fillet"]
    assert dock.state.heatmaps == []
    assert not dock.mask_step.make.isEnabled()
    assert "Make a heatmap first" in dock.mask_step.make.toolTip()


def test_layers_renamed_during_a_run_are_still_meant(qtbot, viewer, dock, gate):
    fillet = viewer.layers["fillet"]
    dock.heatmap_step.run.click()
    gate.let(qtbot, 2)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10_000)
    fillet.name = "cod"
    shown = viewer.layers["Grad-CAM: predicted"]
    shown.name = "where it looked"
    gate.let_all()
    finish(qtbot, dock)
    assert dock.image_step.image.currentText() == "cod"
    assert dock.mask_step.heatmap.currentText() == "where it looked"
    np.testing.assert_array_equal(shown.data, dock.state.heatmaps[0].result.heatmap.values)
    assert shown.data[8].max() > 0


def test_the_dock_closed_during_a_run_lets_nothing_arrive(qtbot, viewer, dock, gate):
    dock.heatmap_step.run.click()
    gate.let(qtbot, 2)
    before = [layer.name for layer in viewer.layers]
    viewer.window.remove_dock_widget(dock)
    gate.let_all()
    qtbot.wait(300)
    assert [layer.name for layer in viewer.layers] == before
    add_volume(viewer, 8, "later")  # nobody listens, nothing breaks
    assert dock.image_step.image.count() == 1


def test_a_dock_put_back_works_again(qtbot, viewer, dock):
    viewer.window.remove_dock_widget(dock)
    add_volume(viewer, 8, "later")
    viewer.window.add_dock_widget(dock, name="CAM again")
    assert dock.image_step.image.count() == 2
    dock.heatmap_step.preview.click()
    finish(qtbot, dock)
    assert len(dock.state.heatmaps) == 1


def test_the_viewer_closed_during_a_run(qtbot, viewer, dock, gate):
    dock.heatmap_step.run.click()
    gate.let(qtbot)
    viewer.close()
    gate.let_all()
    qtbot.wait(300)  # an error in a slot would fail the test


def test_two_docks_do_not_meddle(qtbot, viewer, open_dock, dock):
    other = open_dock(viewer, "second")
    tick(other, "gradcam", on=False)
    tick(other, "hirescam")
    dock.heatmap_step.run.click()
    other.heatmap_step.run.click()
    finish(qtbot, dock)
    finish(qtbot, other)
    names = sorted(layer.name for layer in viewer.layers)
    assert names == ["Grad-CAM: predicted", "HiResCAM: predicted", "fillet"]
    assert len(dock.state.heatmaps) == len(other.state.heatmaps) == 1
    for last, first in ((other, dock), (dock, other)):
        last.shortcuts.take()
        assert last.shortcuts._shortcuts[0].isEnabled()
        assert not first.shortcuts._shortcuts[0].isEnabled(), "a key means one dock"


def test_a_model_file_that_is_gone_is_told(qtbot, dock, tmp_path):
    path = nc.save_model(nc.load_sample_model(), tmp_path / "mine.safetensors")
    dock.network_step.open_file(str(path))
    qtbot.waitUntil(lambda: dock.state.network is not None, timeout=20_000)
    path.unlink()
    dock.heatmap_step.preview.click()  # it is in memory
    finish(qtbot, dock)
    assert len(dock.state.heatmaps) == 1
    dock.network_step.open_file(str(path))
    qtbot.waitUntil(
        lambda: "There is no model file" in dock.network_step.hint.text(), timeout=20_000
    )
    assert "There is no model file" in dock.heatmap_step.run.toolTip()
    dock.network_step.network.setCurrentIndex(0)
    qtbot.waitUntil(lambda: dock.state.network is not None, timeout=20_000)
    assert dock.heatmap_step.run.isEnabled()


def test_weights_without_a_card_ask_for_their_architecture(qtbot, dock, tmp_path):
    import torch

    torch.save({"strange": torch.zeros(3)}, tmp_path / "bare.pt")
    dock.network_step.open_file(str(tmp_path / "bare.pt"))
    qtbot.waitUntil(lambda: bool(dock.network_step.hint.text()), timeout=90_000)
    assert dock.network_step.architecture.isVisibleTo(dock)
    assert not dock.heatmap_step.run.isEnabled()


def test_the_last_network_asked_for_is_the_one_shown(qtbot, dock, tmp_path):
    path = nc.save_model(nc.load_sample_model(), tmp_path / "mine.safetensors")
    dock.network_step.open_file(str(path))
    dock.network_step.network.setCurrentIndex(0)
    qtbot.waitUntil(lambda: dock.state.network is not None, timeout=20_000)
    qtbot.wait(200)
    assert dock.state.network.source == "sample"


def test_no_method_is_told(qtbot, dock):
    tick(dock, "gradcam", on=False)
    assert not dock.heatmap_step.run.isEnabled()
    assert "Tick at least one method" in dock.heatmap_step.hint.text()


def test_slices_that_do_not_exist_are_told(qtbot, viewer, dock, silent_notifications):
    viewer.add_image(np.random.default_rng(0).random((5, 52, 60), np.float32), name="plain")
    dock.image_step.image.setCurrentIndex(1)
    dock.image_step.slices.setCurrentIndex(dock.image_step.slices.findData("coronal"))
    dock.heatmap_step.run.click()
    finish(qtbot, dock)
    assert "no coronal slices" in dock.problem.text()
    assert silent_notifications


def test_the_window_stays_alive_during_a_run(qtbot, viewer, dock, monkeypatch):
    dock.heatmap_step.preview.click()
    finish(qtbot, dock)  # napari's own cost of a new layer is not the run's
    stamps = []
    timer = QTimer()
    timer.setInterval(5)
    timer.timeout.connect(lambda: stamps.append(time.perf_counter()))
    timer.start()
    dock.heatmap_step.run.click()
    finish(qtbot, dock)
    timer.stop()
    gaps = np.diff(stamps)
    assert np.median(gaps) < 0.03
    assert gaps.max() < 0.25  # 0.1 s on a machine of one's own


def test_the_slider_is_quick_on_a_large_volume(qtbot, viewer, dock):
    from napari_cam.widgets.layers.cutting import MaskRequest, cut_slice

    dock.heatmap_step.preview.click()
    finish(qtbot, dock)
    small = dock.state.heatmaps[0].result.heatmap
    shape, n = (54, 256, 256), 54
    values = np.random.default_rng(3).random(shape, np.float32)
    per_unit = ("raw_min", "raw_max", "valid", "class_index", "predicted_index", "score")
    large = replace(
        small,
        values=values,
        inside=np.ones(shape, bool),
        grid=nc.Grid.plain(shape),
        **{name: np.resize(getattr(small, name), n) for name in per_unit},
    )
    large.valid[:] = True
    for rule in ("fixed:0.4", "quantile:0.8", "otsu"):
        begun = time.perf_counter()
        mask = cut_slice(large, 17, MaskRequest(rule))
        assert time.perf_counter() - begun < 0.05
        expected = nc.binarize(large, rule)["mask"][17]
        np.testing.assert_array_equal(mask, expected)


def test_every_control_has_its_tooltip_of_the_table(dock):
    kinds = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QTextEdit)
    own = [
        widget
        for step in dock.steps
        for kind in kinds
        for widget in step.content().findChildren(kind)
        if not widget.objectName().startswith("qt_") and _is_ours(widget, step.content())
    ]
    assert len(own) > 20
    for widget in own:
        assert widget.objectName() in TOOLTIPS, widget
        assert str(TOOLTIPS[widget.objectName()]) in widget.toolTip()


def _is_ours(widget, step):
    """Whether a widget is a control of ours, not a part of one (a list's header, its view)."""
    return widget.parent() is step


def test_keys_are_shown_and_click(qtbot, dock):
    from napari_cam.widgets.controls.shortcuts import KEYS

    for name, key in KEYS.items():
        assert f"({key})" in getattr(dock.heatmap_step, name).text()
    taken = {"Ctrl+Q", "Ctrl+S", *map(str, range(10))}
    assert not taken & set(KEYS.values())
    dock.shortcuts._shortcuts[list(KEYS).index("preview")].activated.emit()
    finish(qtbot, dock)
    assert len(dock.state.heatmaps) == 1


def disabled(dock):
    """The tooltips of the controls that are greyed out, by name."""
    kinds = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QTextEdit, QAbstractSlider)
    return {
        widget.objectName(): widget.toolTip()
        for step in dock.steps
        for kind in kinds
        for widget in step.content().findChildren(kind)
        if widget.objectName() in TOOLTIPS and not widget.isEnabledTo(dock)
    }


def test_whatever_is_greyed_out_says_what_is_missing(qtbot, make_napari_viewer, open_dock):
    viewer = make_napari_viewer()
    dock = open_dock(viewer)
    missing = disabled(dock)
    assert {"run", "preview", "make_mask", "keep_mask", "save", "rule", "result"} <= {*missing}
    add_volume(viewer)
    ready = disabled(dock)
    assert not {"run", "preview"} & {*ready}
    for said in (missing, ready):
        for name, tip in said.items():
            reason = tip.removesuffix(str(TOOLTIPS[name])).strip()
            assert reason.endswith("."), name
    assert "File > Open" in missing["run"]
    assert "in step 3" in ready["save"]
    dock.heatmap_step.preview.click()
    finish(qtbot, dock)
    assert set(disabled(dock)) == {"keep_mask", "all_levels"}


def test_the_device_is_said_below_the_steps(qtbot, dock):
    assert dock.device_line.text().startswith("Runs on: CPU")
    assert dock.device_line.isVisibleTo(dock)
    assert not dock.scroll_area.isAncestorOf(dock.device_line), "it never scrolls away"


def test_news_of_a_dropped_run_never_arrive(qtbot, viewer, dock, gate):
    """The image is removed, another is explained, and only then the first run is heard of."""
    dock.heatmap_step.run.click()
    gate.let(qtbot)
    viewer.layers.remove("fillet")
    gate.open.release()  # the first run notices at its next news, and may end before another wait
    qtbot.waitUntil(lambda: not dock.explainer.running, timeout=10_000)
    before = viewer.layers["Grad-CAM: predicted"].data.copy()
    other = add_volume(viewer, 8, "other")
    dock.heatmap_step.run.click()
    gate.let_all()
    finish(qtbot, dock)
    qtbot.wait(300)
    first, _, second = viewer.layers
    np.testing.assert_array_equal(first.data, before)
    expected = nc.explain_one(nc.load_sample_model(), other.metadata["napari_cam_volume"])
    np.testing.assert_allclose(second.data, expected.values, atol=1e-6)
    assert not dock.problem.text()


def test_a_heatmap_outlives_its_image(qtbot, viewer, dock):
    dock.heatmap_step.run.click()
    finish(qtbot, dock)
    made = dock.state.heatmaps[0]
    heatmap = made.layer()
    viewer.layers.remove("fillet")
    made.picture = replace(made.picture, references=(lambda: None,))  # as after garbage collection
    dock.mask_step.make.click()
    qtbot.waitUntil(lambda: bool(dock.state.masks), timeout=20_000)
    mask = dock.state.masks[0].layer()
    np.testing.assert_array_equal(mask.data == 1, heatmap.data > np.float32(0.5))
    corner = np.array(heatmap.data.shape) - 1
    np.testing.assert_allclose(mask.data_to_world(corner), heatmap.data_to_world(corner))
    box = dock.heatmap_step.normalize
    box.setCurrentIndex(box.findData("volume"))
    qtbot.waitUntil(lambda: made.request.normalize == "volume", timeout=10_000)
    cut = heatmap.data > np.float32(0.5)
    qtbot.waitUntil(lambda: np.array_equal(mask.data == 1, cut), timeout=10_000)
    dock.heatmap_step.next.click()
    assert not dock.problem.text()


def test_memory_that_runs_out_halves_the_batch_and_goes_on(qtbot, viewer, dock, monkeypatch):
    from napari_cam.cams import plan

    whole, sizes = plan.compute, []

    def small(module, batch, *rest):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(module, batch, *rest)

    monkeypatch.setattr(plan, "compute", small)
    dock.heatmap_step.run.click()
    finish(qtbot, dock)
    monkeypatch.undo()
    assert not dock.problem.text()
    assert max(sizes) > 2
    volume = viewer.layers["fillet"].metadata["napari_cam_volume"]
    expected = nc.explain_one(nc.load_sample_model(), volume)
    np.testing.assert_allclose(viewer.layers[1].data, expected.values, atol=1e-6)


def test_an_error_while_a_network_is_loaded_is_told(qtbot, dock, monkeypatch, tmp_path):
    def broken(*_args):
        raise RuntimeError("PytorchStreamReader failed")

    path = nc.save_model(nc.load_sample_model(), tmp_path / "mine.safetensors")
    monkeypatch.setattr("napari_cam.models.files.model_files.load_model", broken)
    dock.network_step.open_file(str(path))
    qtbot.waitUntil(lambda: "RuntimeError" in dock.network_step.hint.text(), timeout=20_000)
    assert "RuntimeError" in dock.heatmap_step.run.toolTip()
    monkeypatch.undo()
    dock.network_step.open_file(str(path))
    qtbot.waitUntil(lambda: dock.state.network is not None, timeout=20_000)


def test_a_full_disk_is_told_and_nothing_is_lost(qtbot, dock, monkeypatch, tmp_path):
    from napari_cam.widgets.docks.cam.control import saver

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    dock.heatmap_step.preview.click()
    finish(qtbot, dock)
    monkeypatch.setattr(saver, "write_volume", full)
    monkeypatch.setattr(dock.save_step, "ask_path", lambda _name: (tmp_path / "a.nii.gz", False))
    dock.save_step.save.click()
    qtbot.waitUntil(lambda: "No space left" in dock.problem.text(), timeout=10_000)
    assert not dock.save_step.done.text()
    monkeypatch.undo()
    monkeypatch.setattr(dock.save_step, "ask_path", lambda _name: (tmp_path / "a.nii.gz", False))
    dock.save_step.save.click()
    qtbot.waitUntil(lambda: "Written" in dock.save_step.done.text(), timeout=10_000)
