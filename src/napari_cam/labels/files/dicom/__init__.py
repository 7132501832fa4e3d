"""DICOM segmentations, written by highdicom and read frame by frame."""
