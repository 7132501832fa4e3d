"""Overlap: say what this room is for."""
