"""Many hosts at once: which ones, in which order, how far it came, and how all of them are."""
