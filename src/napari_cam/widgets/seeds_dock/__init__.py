"""The dock "Seeds": ensembles, boxes, seeds, review and export."""

from napari_cam.widgets.seeds_dock import (
    tooltips as tooltips,  # so that every control finds its own
)
