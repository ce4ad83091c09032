"""Sizes, chains, differences, reference."""
