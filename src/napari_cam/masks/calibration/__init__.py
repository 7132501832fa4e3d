"""Thresholds of an ensemble chosen together on cases with true masks, and judged out of fold."""
