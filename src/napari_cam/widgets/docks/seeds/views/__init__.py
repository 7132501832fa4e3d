"""Views: say what this room is for."""
