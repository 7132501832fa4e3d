"""napari: how volumes come in and leave, and the docks."""
