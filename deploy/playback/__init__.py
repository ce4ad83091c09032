"""The read side of the local service: what was kept is listed, sent again, cut into clips and pictures, played."""
