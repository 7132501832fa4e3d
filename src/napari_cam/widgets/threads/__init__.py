"""Threads: say what this room is for."""
