"""Masks made from heatmaps: threshold rules, the one comparison, counts, clean-up, ensembles."""
