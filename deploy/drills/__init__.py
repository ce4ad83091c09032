"""Faults made on purpose, and what comes back after them."""
