"""ZooKeeper, and nothing of Kafka: a Twisted face on kazoo, recipes, and a small server."""

from zk.signals import quiet_imports

quiet_imports()
