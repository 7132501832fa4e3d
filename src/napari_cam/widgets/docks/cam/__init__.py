"""The dock "CAM": image, network, heatmap, mask and files, one step after another."""

from napari_cam.widgets.docks.cam import tooltips as tooltips  # so that every control finds its own
