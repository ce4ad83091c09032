"""Services: a program of a release that starts at boot and comes back."""
