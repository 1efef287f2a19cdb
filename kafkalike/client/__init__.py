"""Clients of a cluster. What decides is pure and shared by every face; so far the blocking one, for the commands.

partitioners.py       which partition a message goes to
accumulator.py        batches per partition: linger, size, retries in order
membership.py         the consumer's half of the group protocol
assignors.py          range, round-robin
consumer_protocol.py  the bytes that members exchange through the coordinator
positions.py          what to fetch next, buffered records, acknowledged prefixes
fetched.py            the messages inside fetched bytes
cluster.py            the cluster as Metadata answers describe it
routing.py            who is asked: any broker, a leader, the controller, a coordinator
connection.py         one connection without its socket: versions, what is to be sent, which answer is whose
effects.py            what the client's steps ask for, and what they get
engine.py             runs the client's steps side by side
errors.py             how a client's calls fail
producer.py           the producer without I/O
comparison.py         replicas side by side
reassignment.py       moving partitions, as kafka-reassign-partitions plans it
partition_lists.py    the JSON files in which commands are told partitions
admin/                the operations of an Admin, as steps
twisted/              Producer and Admin on Deferreds
times.py              dates and durations as Kafka's tools read them
blocking/             Admin, Producer and Consumer on plain sockets
"""
