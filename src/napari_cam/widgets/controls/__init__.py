"""Widgets that the docks are made of."""
