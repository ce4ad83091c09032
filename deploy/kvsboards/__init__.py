"""Boards that take the local service for AWS: simulated ones as they are, real ones in a private view."""
