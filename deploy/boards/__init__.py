"""Board files, hosts, SSH session, pull."""
