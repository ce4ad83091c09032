"""A root's files, index and loader configuration."""
