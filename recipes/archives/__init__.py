"""Archives: packed streams, tar read by rules of our own, tar written."""
