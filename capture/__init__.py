"""The edge: recording, importing and simulating. Imports no Beam."""
