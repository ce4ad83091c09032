"""Which library travels, and why."""
