"""Boards that take the local service for AWS.

Simulated ones as they are, real ones in a private view.
"""
