"""The tests; a package, for one of the same name comes with a library that they use, and would be found first."""
