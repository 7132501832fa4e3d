"""Commands, thin over the Python API."""
