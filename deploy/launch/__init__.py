"""Launch scripts, status codes."""
