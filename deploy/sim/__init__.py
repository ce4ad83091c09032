"""Simulated boards.

Boards for people without hardware: containers with a real SSH server, their own addresses and their own keys.
"""
