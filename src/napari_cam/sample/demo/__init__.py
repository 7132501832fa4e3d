"""Demo: say what this room is for."""
