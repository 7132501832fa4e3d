"""``napari-cam report``: heatmaps compared with references, other maps, measurements, networks."""
