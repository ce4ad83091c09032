"""What streams: model, checks, argv."""
