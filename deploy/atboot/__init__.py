"""What a board does when it starts: which services are put in for that, and the way back of a release on trial."""
