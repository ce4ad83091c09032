"""Resolve, plan, run, diagnose."""
