"""Association: say what this room is for."""
