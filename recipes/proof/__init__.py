"""What a loader would do, and what follows."""
