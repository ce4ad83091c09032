"""What a board is and has."""
