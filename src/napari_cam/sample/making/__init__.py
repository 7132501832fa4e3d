"""Making: say what this room is for."""
