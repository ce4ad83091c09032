"""Which endpoints of the service a board reaches, which of them this workstation reaches, and what that means."""
