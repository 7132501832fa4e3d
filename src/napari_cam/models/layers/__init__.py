"""Layers: say what this room is for."""
