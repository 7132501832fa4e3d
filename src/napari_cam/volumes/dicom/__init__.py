"""Dicom: say what this room is for."""
