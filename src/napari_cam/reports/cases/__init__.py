"""Cases: the maps of one subject and what they are compared with, from memory or from files."""
