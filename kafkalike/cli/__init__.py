"""The commands behind bin/, one click command per file."""
