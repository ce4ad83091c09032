"""Starts, stops and watches streams."""
