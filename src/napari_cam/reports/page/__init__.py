"""Page: say what this room is for."""
