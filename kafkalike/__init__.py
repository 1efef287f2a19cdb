"""The classic Kafka: brokers that agree through ZooKeeper and speak Kafka's wire protocol."""

__version__ = "0.1.0"
