"""The tests: a package, so that the name is ours before any that a library installs by the way."""
