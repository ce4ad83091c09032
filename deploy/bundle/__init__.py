"""Archive, manifest, bill of materials, signature."""
