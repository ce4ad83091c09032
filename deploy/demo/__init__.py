"""The demo: from nothing to a picture.

Built, deployed to a simulated board, streamed through the local service, looked at.
"""
