"""What an Admin can do, as steps: one function for each operation, in a file by subject. The first argument is the
Routing of the client; the faces (blocking/admin.py, twisted/admin.py) have a method of the same name for each.

topics.py     create, describe, list, extend and delete topics
configs.py    configurations of topics, brokers and loggers
replicas.py   reassignments of partitions, elections of leaders
offsets.py    offsets of partitions by time; deletion of records
groups.py     consumer groups, their members and committed offsets
brokers.py    the brokers, and what each of them speaks

Failures are KafkaError, or TimedOut.
"""
