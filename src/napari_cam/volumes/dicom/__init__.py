"""DICOM: which files form which series, where their images lie, and what their pixels say."""
