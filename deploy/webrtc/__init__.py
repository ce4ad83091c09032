"""A viewer of a signaling channel: its way there, and one without a screen that says what it saw."""
