"""Launch scripts and quoting."""
