"""Coordinators of consumer groups and producer ids. Called by broker/apis/.

internal_topic.py      for any coordinator: the partitions of its topic that this broker leads, loaded and unloaded
group_coordinator.py   what members, consumers and tools ask of groups
group_partition.py     the groups of one partition: their records, answers and timers
group.py               = one group: join, sync, heartbeat, leave, expire
group_members.py       = its members
group_effects.py       = what it is asked, and what it wants to be done
group_gauges.py        the groups' numbers for operators
group_records.py       = the formats inside __consumer_offsets
offset_expiration.py   offsets go away with time, and empty groups with them
offsets/               committed offsets, in ZooKeeper or in the log
producer_ids.py        blocks of producer ids
background.py          coroutines that nobody waits for
"""
