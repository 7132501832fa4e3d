"""Agreement: say what this room is for."""
