"""Targets: say what this room is for."""
