"""The overlap report: maps compared with a reference mask."""
