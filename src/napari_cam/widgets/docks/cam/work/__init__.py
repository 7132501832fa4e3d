"""Work: say what this room is for."""
