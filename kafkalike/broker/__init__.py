"""The composition root: builds a broker from its parts, starts and stops it, dispatches requests."""
