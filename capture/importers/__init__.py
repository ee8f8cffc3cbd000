"""Recordings that others made, as segments."""
