"""What the tasks share: how one ends, and how results are printed."""
