"""The agreement report: maps of one image compared with each other."""
