"""Logs without secrets, and what they mean."""
