"""Model files of any origin, read without running code in them, and written with a card."""
