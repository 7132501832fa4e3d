"""Docks of napari: what the library does, to click on."""
