"""SSH channels with limits, and keys."""
