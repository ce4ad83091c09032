"""A board watched for long: samples at an interval, slopes, and what that says of leaks."""
