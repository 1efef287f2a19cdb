"""The classic Kafka: brokers that agree through ZooKeeper and speak Kafka's wire protocol.

The map of the packages: what each owns, and who calls it. Each package's docstring has a line for each of its files.

cli/          the commands behind bin/; users call them
broker/       builds a broker, starts and stops it, dispatches requests to broker/apis/; cli/server_start.py calls it
controller/   what one of the brokers does for all: who leads what; broker/ builds it and hands it its APIs' requests
coordinator/  consumer groups, committed offsets, producer ids; broker/apis/ calls it
replication/  this broker's replicas: leader or follower, ISR, high watermark, waiting requests; broker/apis/ calls it
storage/      one partition's log in Kafka's file formats, and log directories; replication/ calls it
cluster/      what the cluster agrees on: znodes, metadata image, this broker's registration; every row above calls it
net/          accepted and outgoing connections; broker/ builds them, and they hand frames to broker/dispatch.py
client/       Admin, Producer and Consumer for programs; cli/ calls it
protocol/     bytes to messages and back, record batches, compression; every row above calls it
config/       Kafka's configuration keys, their values and their rules; every package calls it
errors.py     Kafka's error codes, and the exceptions that carry them
metrics.py    numbers under the names of Kafka's MBeans; whoever owns a number declares it
clock.py      the time and the timers, handed down so that tests decide what time it is
"""

__version__ = "0.1.0"
