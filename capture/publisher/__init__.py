"""The publisher: brings the sealed segments of a spool into a store, each once and whole.

- `publish`: a round over the outbox, and rounds for ever
- `retries`: when a request is tried again, and when it is given up
- `bandwidth`: no more bytes a second than a person allows
- `outcome`: what became of a segment, and of a round
"""
