"""The commands of ``napari-cam``, a file each: its options, and what it prints."""
