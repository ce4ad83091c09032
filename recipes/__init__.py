"""Source to Stage: locked sources, per-arch containers, cross builds and the ELF facts of what they made."""
