"""Whether to believe it: localisation scores and figures."""
