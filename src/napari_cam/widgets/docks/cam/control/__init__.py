"""What moves the CAM dock: it follows the controls, starts the work and shows it in the viewer."""
