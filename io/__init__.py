"""Formats and storage: events, segments, shards, tables, stores. Imports nothing else of taskreel."""
