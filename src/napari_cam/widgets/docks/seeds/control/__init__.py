"""What moves the seeds dock: it follows layers and controls, starts the work and shows it."""
