"""Architectures: say what this room is for."""
