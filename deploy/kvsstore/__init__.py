"""What the local service keeps.

Streams, channels, fragments: an index in SQLite, each fragment a file of its own.
"""
