"""Faults that are made on purpose, and whether what streams comes back after them."""
