"""What napari's File menu does: open, open a sample, save; and the window of the demo."""
