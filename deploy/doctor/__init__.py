"""Logs and their meaning."""
