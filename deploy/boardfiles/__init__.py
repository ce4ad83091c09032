"""Board files: made, checked, shown."""
