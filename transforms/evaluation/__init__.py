"""How good are the cuts, the actions and the observations? Measures on Arrow tables and NumPy arrays, with no Beam.

The definitions are in `docs/evaluation.md`. `boundaries` and `agreement` score cuts, `baselines` are what they have to
beat, `actions` and `observations` compare steps with the truth, `joined` makes a truth of separate recordings.
"""
