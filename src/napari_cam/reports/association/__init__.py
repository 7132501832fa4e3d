"""The association report: how much maps mark, correlated with a measurement of each subject."""
