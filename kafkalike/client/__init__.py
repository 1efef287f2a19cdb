"""Clients of a cluster. What decides is pure and shared by every face; so far the blocking one, for the commands.

partitioners.py   which partition a message goes to
accumulator.py    batches per partition: linger, size, retries in order
membership.py     the consumer's half of the group protocol
assignors.py      range, round-robin
subscription.py   the bytes that members exchange through the coordinator
positions.py      what to fetch next, buffered records, acknowledged prefixes
fetched.py        the messages inside fetched bytes
times.py          dates and durations as Kafka's tools read them
blocking/         Admin, Producer and Consumer on plain sockets
"""
