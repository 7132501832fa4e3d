"""Commands: say what this room is for."""
