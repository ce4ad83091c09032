"""Written-out values for the tests: no mock library."""
