"""The read side: what was kept is listed, sent again and played."""
