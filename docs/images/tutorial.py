"""Walk through docs/tutorial.md in a real window and take its pictures.

Run it under a display: ``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/images/tutorial.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from window import FOLDER, HERE, open_viewer, save, scroll_to, wait


def check(holds: object) -> None:
    """Stop where a sentence of the tutorial is no longer true."""
    if not holds:
        raise SystemExit("The tutorial does not hold: a step gives something else.")


def main() -> None:
    """Walk through all steps, from the sample to the reopened files."""
    viewer = open_viewer(1400, 900)

    def take(name: str, top: object) -> None:
        scroll_to(dock, top, above=0)
        save(viewer, HERE / f"tutorial_{name}.png")

    # Open the sample and the dock.
    viewer.open_sample("napari-cam", "volume")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "CAM")
    wait(lambda: dock.state.network is not None)
    image = viewer.layers["cod fillet"]
    check(dock.images.current is image)
    QTest.qWait(300)
    viewer.reset_view()

    # Choose the class, preview one slice.
    dock.network_step.class_id.setCurrentText("damaged")
    viewer.dims.set_current_step(0, 12)
    dock.heatmap_step.preview.click()
    wait(lambda: not dock.explainer.running and "Grad-CAM: damaged" in viewer.layers)
    take("preview", dock.network_step.methods)

    # Run all slices, go to the next one with evidence.
    dock.heatmap_step.run.click()
    wait(lambda: not dock.explainer.running)
    dock.heatmap_step.next.click()

    # Cut a mask, move the slider, keep it.
    dock.mask_step.gate.setChecked(True)
    dock.mask_step.make.click()
    wait(lambda: dock.state.masks)
    figures = dock.mask_step.figures
    before = figures.shown("whole")
    dock.mask_step.cut.setValue(0.35)
    wait(lambda: figures.shown("whole") != before and "…" not in figures.shown("whole"))
    dock.mask_step.keep.click()
    mask = dock.state.masks[-1].layer()
    viewer.layers.selection.active = mask

    # Edit: a stroke with the brush, and back again.
    here = int(viewer.dims.current_step[0])
    mask.brush_size, mask.mode = 6, "paint"
    painted = mask.data.copy()
    row, column = (int(each) for each in np.argwhere(mask.data[here])[0])

    def stroke() -> None:
        with mask.block_history():
            for step in range(8):
                mask.paint((here, row + 1 - step // 4, column + step), 1)

    stroke()
    check(not np.array_equal(painted, mask.data))
    mask.undo()
    check(np.array_equal(painted, mask.data))
    stroke()
    mask.mode = "pan_zoom"
    take("mask", dock.mask_step)

    # Save both, close everything, open them again.
    for number, name in enumerate(("heatmap.nii.gz", "mask.nii.gz")):
        target = str(FOLDER / name)
        QFileDialog.getSaveFileName = lambda *_args, to=target: (to, "")
        dock.save_step.result.setCurrentIndex(number)
        dock.save_step.save.click()
        wait(lambda to=target: Path(to).exists() and "Written" in dock.save_step.done.text())
    edited = mask.data.copy()
    viewer.layers.clear()
    viewer.open_sample("napari-cam", "volume")
    for name in ("heatmap.nii.gz", "mask.nii.gz"):
        viewer.open(FOLDER / name, plugin="napari-cam")
    check([type(layer).__name__ for layer in viewer.layers] == ["Image", "Image", "Labels"])
    check(np.array_equal(viewer.layers["mask"].data, edited))
    viewer.dims.set_current_step(0, here)
    viewer.reset_view()
    take("reopened", dock.image_step)
    viewer.close()


if __name__ == "__main__":
    main()
