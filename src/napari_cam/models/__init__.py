"""Networks: architectures by name, model files, their layers, and how images are prepared."""
