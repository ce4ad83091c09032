"""Streams of a host: state, verbs, logs."""
