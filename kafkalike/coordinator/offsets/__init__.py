"""Committed offsets: in znodes, in the log of a mixed cluster, and on their way from one to the other.

offset_commit.py       what a group commits, and what it is told when it asks
partition_offsets.py   the offsets of one partition's groups, wherever they are: what the coordinator asks
offsets_storage.py     where the cluster keeps offsets, by what its brokers announce
znode_commits.py       commits on their way into ZooKeeper: many at once, in order
znode_offsets.py       offsets in ZooKeeper: read, listed, removed
fence.py               the check that each write there begins with
commit_timeout.py      how long ZooKeeper is waited for
log_offsets.py         offsets in the log of __consumer_offsets
migration.py           from znodes to the log and back
deleted_topics.py      offsets go away with their topics
writes_in_flight.py    writes that are not answered yet
"""
