"""Images and sysroots."""
