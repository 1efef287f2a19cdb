"""Clients of a cluster. What decides does no I/O and is shared by every face; the faces bring sockets and time.

effects.py               what the steps (generators) ask for, and what they get
engine.py                runs any number of steps side by side over the connections that they share
connection.py            one connection: versions, requests in flight, answers
cluster.py               brokers, topics and leaders as Metadata answers tell them
routing.py               who is asked: any broker, a leader, the controller, a coordinator; and what is asked again
properties.py            Java's property names as options
errors.py                how calls fail, beside KafkaError

admin/                   the operations of Admin, by subject
producer.py              the producer: routes, sends, repeats, gives up
accumulator.py           batches per partition: linger, size, retries in order
partitioners.py          which partition a message goes to
consumer.py              the consumer: joins, fetches, positions, commits
fetcher.py               what a consumer fetches beside the application's calls
membership.py            a consumer's membership of its group
assignors.py             range, round-robin
consumer_protocol.py     the bytes that members exchange through the coordinator
assigned_partitions.py   positions, buffered records and acknowledged prefixes of a consumer's partitions
fetched_records.py       the messages inside fetched bytes

blocking/                Admin, Producer and Consumer on plain sockets
twisted/                 the same three on a reactor, without a thread
"""
