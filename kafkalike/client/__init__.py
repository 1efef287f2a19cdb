"""Clients of a cluster: producer, consumer and admin."""
