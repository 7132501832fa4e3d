"""Class activation maps: methods, targets, and :func:`explain`, which makes heatmaps of volumes."""
