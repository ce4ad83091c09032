"""A board watched for long: samples, slopes, leaks."""
