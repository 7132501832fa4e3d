"""Training: say what this room is for."""
