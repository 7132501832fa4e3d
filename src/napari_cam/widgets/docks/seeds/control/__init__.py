"""Control: say what this room is for."""
