"""What the local service keeps: streams, channels, fragments. An index in SQLite, each fragment a file of its own."""
