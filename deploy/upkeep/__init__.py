"""A board's releases over time: which it has, and none left."""
