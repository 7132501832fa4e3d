"""Methods: say what this room is for."""
