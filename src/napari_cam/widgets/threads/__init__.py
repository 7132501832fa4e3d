"""Work outside of the window's thread: jobs, what follows the controls, how torch is loaded."""
