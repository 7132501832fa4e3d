"""Files: say what this room is for."""
