"""Plan, send, switch, go back."""
