"""ZooKeeper, and nothing of Kafka: a Twisted face on kazoo, recipes, and a small server."""
