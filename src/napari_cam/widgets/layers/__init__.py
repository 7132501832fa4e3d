"""How volumes, heatmaps, masks and seeds look as napari layers, and how they come back from them.

Layers travel as napari's layer data tuples (data, attributes, kind), so that readers, docks and
scripts add them in the same way. ``layer.metadata["napari_cam"]`` is plain JSON;
``layer.metadata["napari_cam_volume"]`` is the :class:`Volume` itself with the header and the
identity of its source, which stays in memory.
"""
