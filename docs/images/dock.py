"""Take the pictures of docs/dock.md that show a mask, and a segmentation network.

Run it under a display: ``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/images/dock.py``.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from window import HERE, open_viewer, save, scroll_to, wait

from napari_cam.sample import load_sample_phantom


def cut_a_mask(viewer: Any, dock: Any) -> None:
    """Cut a mask of the class "damaged", clean it up and compare it with the truth."""
    image = viewer.layers[0]
    dock.network_step.class_id.setCurrentText("damaged")
    viewer.dims.set_current_step(0, 12)
    viewer.reset_view()
    dock.heatmap_step.run.click()
    wait(lambda: not dock.explainer.running)
    truth = (load_sample_phantom().damage > 0.5).astype("uint8")
    place = {name: getattr(image, name) for name in ("scale", "translate", "units")}
    outline = viewer.add_labels(truth, name="truth", opacity=0.9, **place)
    outline.contour = 1
    step = dock.mask_step
    step.make.click()
    wait(lambda: dock.state.masks)
    step.cleanup.expand(animate=False)
    step.cleanup.opening.setValue(1.0)
    step.cleanup.holes.setChecked(True)
    step.reference.list.box.setCurrentIndex(1)
    wait(lambda: "…" not in step.figures.shown("whole"))


def main() -> None:
    """Cut a mask; explore a pixel set of the sample U-Net; show its levels side by side."""
    viewer = open_viewer(1400, 900)

    def take(name: str, top: object) -> None:
        scroll_to(dock, top)
        save(viewer, HERE / f"dock_{name}.png")

    viewer.open_sample("napari-cam", "volume")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "CAM")
    wait(lambda: dock.state.network is not None)
    cut_a_mask(viewer, dock)
    take("mask", dock.mask_step)
    for layer in list(viewer.layers)[1:]:
        viewer.layers.remove(layer)
    dock.network_step.network.setCurrentIndex(1)
    wait(lambda: dock.state.network is not None and dock.state.network.source != "sample")
    viewer.dims.set_current_step(0, 12)
    viewer.reset_view()
    step = dock.network_step
    step.methods.item(1).setCheckState(Qt.CheckState.Unchecked)
    step.methods.item(4).setCheckState(Qt.CheckState.Checked)
    step.methods.setCurrentRow(4)
    step.class_id.setCurrentText("damaged")
    wait(lambda: not dock.explorer.busy)
    layers = [info.name for info in step.layers.listed]
    step.layers.selectRow(layers.index("decoder.1"))
    step.region.kind.setCurrentIndex(step.region.kind.findData("component"))
    wait(lambda: not dock.explorer.busy)
    take("segmentation", step.method_help)
    step.methods.item(1).setCheckState(Qt.CheckState.Checked)
    step.methods.item(4).setCheckState(Qt.CheckState.Unchecked)

    wait(lambda: not dock.explorer.busy)
    dock.heatmap_step.follow.setChecked(False)
    step.region.kind.setCurrentIndex(0)
    dock.heatmap_step.compare.levels.click()
    wait(lambda: not dock.explainer.running)
    take("levels", dock.heatmap_step.normalize)
    viewer.close()


if __name__ == "__main__":
    main()
