"""Cohort: say what this room is for."""
