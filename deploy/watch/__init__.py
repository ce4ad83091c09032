"""The page that shows what arrives.

Cameras, live and kept pictures, of the local service and of AWS.
"""
