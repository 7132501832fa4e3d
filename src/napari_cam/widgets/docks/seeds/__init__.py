"""The dock "Seeds": ensembles, boxes, seeds, review and export."""

from napari_cam.widgets.docks.seeds import tooltips as tooltips
