"""Docks: say what this room is for."""
