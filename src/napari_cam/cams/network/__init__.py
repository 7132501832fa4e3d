"""Network: say what this room is for."""
