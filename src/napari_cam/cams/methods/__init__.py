"""The formulas of all CAM methods, one file per family, and the table that finds them by name."""
