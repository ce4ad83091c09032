"""Stage and board to a verified release: decisions with reasons, a bundle, an SSH deploy, and checks with evidence."""
