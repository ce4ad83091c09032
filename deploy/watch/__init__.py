"""What arrives, on a page of this machine: live and kept."""
