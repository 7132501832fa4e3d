"""Preparation: say what this room is for."""
