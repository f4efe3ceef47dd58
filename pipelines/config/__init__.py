"""Pipeline files: their schema, loading, overrides, checks and plans."""
