"""What the service has of a board's streams: the calls to it, the evidence, and what that means."""
