"""Partitions of this broker: leader or follower, in-sync replicas, high watermark, waiting requests."""
