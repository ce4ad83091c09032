"""What a bundle and a root are."""
