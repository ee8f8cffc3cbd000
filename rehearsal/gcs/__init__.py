"""A local stand-in for Google Cloud Storage."""
