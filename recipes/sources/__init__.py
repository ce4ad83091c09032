"""Lock, recipes, fetching."""
