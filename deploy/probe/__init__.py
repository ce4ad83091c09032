"""One probe of a board: what it is and has, and what follows."""
