"""Checks on the board, verdict."""
