"""Streams as data: model, checks, pipeline, argv."""
