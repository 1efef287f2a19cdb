"""A single-node server that speaks the ZooKeeper protocol."""
