"""Coordinators of consumer groups and producer ids: pure state machines and their shells."""
