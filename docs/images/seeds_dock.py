"""The picture of docs/seeds_dock.md: the dock with three methods' heatmaps of the sample.

Needs a display (``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/images/seeds_dock.py``).
"""

from __future__ import annotations

from window import HERE, add_heatmaps, open_viewer, save, scroll_to, wait


def main() -> None:
    """Make seeds of three heatmaps and take the brush."""
    viewer = open_viewer(1400, 950)
    viewer.open_sample("napari-cam", "volume")
    add_heatmaps(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cam", "Seeds")

    def rest() -> None:
        wait(lambda: not dock.busy)

    viewer.dims.set_current_step(0, 12)
    viewer.reset_view()
    dock.seeds_step.preview.click()
    rest()
    dock.seeds_step.commit.click()
    rest()
    dock.review_step.radius.setValue(1.5)
    dock.review_step.paint.click()
    scroll_to(dock, dock.seeds_step.classes)
    save(viewer, HERE / "seeds_dock.png")
    viewer.close()


if __name__ == "__main__":
    main()
