"""Labels: say what this room is for."""
