"""The layers of a network that can be explained, and the one that is explained by default."""
