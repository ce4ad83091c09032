"""One catalogue of causes."""
