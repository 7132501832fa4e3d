"""What is looked at: volumes, their geometry, and the files they come from and go to."""
