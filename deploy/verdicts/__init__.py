"""A verdict as others read it: JSON with a schema, a page, a timeline, what changed; the cloud's side joins it here."""
