"""SSH with limits, and keys."""
