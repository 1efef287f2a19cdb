"""Committed offsets: in znodes, in the log of a mixed cluster, and on their way from one to the other."""
