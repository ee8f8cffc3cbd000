"""taskreel: from recordings of work at a computer, made with consent, to training data that can be checked."""

__version__ = "0.1.0"
