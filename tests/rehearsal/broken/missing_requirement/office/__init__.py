"""The package that is shipped."""
