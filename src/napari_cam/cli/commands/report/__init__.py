"""Report: say what this room is for."""
