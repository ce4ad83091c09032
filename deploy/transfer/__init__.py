"""What travels to a board, and how it gets there."""
