"""The docks that napari's menu offers, one folder each, and the life that they share.

In a dock ``views`` hold its widgets, ``control`` moves the viewer and its layers, and ``work`` is
what runs in another thread.
"""
