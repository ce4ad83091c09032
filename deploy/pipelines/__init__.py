"""Streams as pipelines and programs: composed, checked, quoted."""
