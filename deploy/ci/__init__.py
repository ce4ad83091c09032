"""What a CI system is told: rows, caches, jobs."""
