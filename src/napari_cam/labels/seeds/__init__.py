"""Seeds: say what this room is for."""
