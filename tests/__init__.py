"""Mirrors the tree; `servers` starts what the tests talk to."""
