"""Labels in files: NIfTI, TIFF, 3D Slicer, DICOM segmentations, and datasets to train on."""
