"""The demo in a window: the sample, what was computed of it, and the dock."""

from __future__ import annotations

from pathlib import Path


def show_demo(
    volume: str,
    truth: str,
    heatmap: str,
    mask: str,
    wait: bool = True,
    heatmap_name: str = "Grad-CAM (damaged)",
    mask_name: str = "mask of Grad-CAM",
    truth_name: str = "damage (truth)",
) -> None:
    """Open napari with the demo's files and the dock.

    Parameters
    ----------
    volume, truth, heatmap, mask
        Files that ``napari-cam demo`` wrote.
    wait
        Whether to return only when the window is closed.
    heatmap_name, mask_name, truth_name
        Names of their layers.
    """
    import napari

    viewer = napari.Viewer(title="napari-cam demo", show=wait)
    for path, name in (
        (volume, "cod fillet"),
        (heatmap, heatmap_name),
        (mask, mask_name),
        (truth, truth_name),
    ):
        for layer in viewer.open(Path(path), plugin="napari-cam"):
            layer.name = name
    for layer in viewer.layers[2:]:
        layer.visible = False  # three overlays at once hide one another
    viewer.layers.selection.active = viewer.layers[0]
    viewer.window.add_plugin_dock_widget("napari-cam", "CAM")
    if wait:
        napari.run()
