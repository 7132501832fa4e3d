"""Data: say what this room is for."""
