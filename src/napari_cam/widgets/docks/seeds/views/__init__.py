"""The widgets of the seeds dock: its five steps and the list of classes."""
