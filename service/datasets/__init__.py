"""Data sets: registered once, used by name."""
