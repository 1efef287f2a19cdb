"""What this project writes to ZooKeeper and reads from it: one class per znode, with its path, encode and decode.

The form is Apache Kafka 3.9's in ZooKeeper mode, key for key, so that either can read the other's. Rules that are
easily broken: parents carry null data, never empty bytes; the version in /cluster/id is a string; time stamps are
strings in /controller and /brokers/ids, and so are block_start and block_end in /latest_producer_id_block.

`decode` raises `Garbage` for anything that cannot be meant. Whoever reads a znode logs that in one line and goes on as
if the node had said nothing.
"""
