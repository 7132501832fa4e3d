"""A phantom and a tiny trained network with a known answer."""
