"""What this project writes to ZooKeeper and reads from it: one class per znode, with its path, encode and decode.

The form is Apache Kafka 3.9's in ZooKeeper mode, key for key, so that either can read the other's. Rules that are
easily broken: parents carry null data, never empty bytes; the version in /cluster/id is a string; time stamps are
strings in /controller and /brokers/ids, and so are block_start and block_end in /latest_producer_id_block.

Every class has `path(*key)` and, where the znode has data, `decode(data, *key)` and `encode`; those that stand in a
directory of their kind have `directory()`. `decode` raises `Garbage` for anything that cannot be meant (encoding.py).
The verbs that read, write and watch any of them are in cluster/zookeeper.py; the controller's steps, which do no I/O,
ask for paths and decode what they get.

admin.py         /admin: deletions, preferred elections, reassignments
brokers.py       /brokers/ids, and failed log directories
cluster.py       the directories that every broker makes, /cluster/id, /feature
configs.py       /config, and the notifications of its changes
consumers.py     /consumers: groups, offsets
controller.py    /controller and /controller_epoch
encoding.py      JSON in znodes, read with distrust
producer_ids.py  /latest_producer_id_block
topics.py        /brokers/topics: assignments, leaders, ISRs
"""
