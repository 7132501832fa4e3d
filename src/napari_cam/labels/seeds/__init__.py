"""Seeds made from heatmaps, committed without touching hand-made edits, reviewed and refined."""
