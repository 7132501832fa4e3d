"""Labels that people keep: their classes, seeds made from heatmaps, and the files of both."""
