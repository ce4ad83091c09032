"""What was built: gate and store."""
