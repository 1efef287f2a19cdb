"""Sockets: accepted connections and outgoing ones."""
