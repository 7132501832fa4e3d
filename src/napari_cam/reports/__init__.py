"""Reports that test whether a map can be trusted: each scores its cases, then judges the scores."""
