"""Calibration: say what this room is for."""
