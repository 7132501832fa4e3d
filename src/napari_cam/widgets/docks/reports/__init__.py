"""The dock "CAM reports": maps judged by a reference, by each other and by their network."""

from napari_cam.widgets.docks.reports import tooltips as tooltips  # so that controls find their own
