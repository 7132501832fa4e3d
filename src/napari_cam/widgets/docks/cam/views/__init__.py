"""The widgets of the CAM dock."""
