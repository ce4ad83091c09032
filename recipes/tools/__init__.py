"""Programs of others: this machine's own, else those of an image."""
