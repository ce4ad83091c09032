"""Checks that run against a board with testinfra. Product: `invoke verify` runs them on the user's boards."""
