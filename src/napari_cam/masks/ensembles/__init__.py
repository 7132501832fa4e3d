"""Ensembles: say what this room is for."""
