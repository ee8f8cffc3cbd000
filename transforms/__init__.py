"""Pure functions on Arrow and NumPy, each beside the PTransform that applies it."""
