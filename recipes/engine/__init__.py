"""Containers, and what leaves them."""
