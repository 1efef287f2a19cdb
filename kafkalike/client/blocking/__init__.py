"""The client for scripts and commands: plain sockets, no event loop. Imports are left to the caller, for start-up time.

network.py     connections, versions, metadata, leaders and coordinators, retries
loop.py        the sockets under the client's engine
operation.py   steps as methods
properties.py  Java client properties as keyword arguments
admin.py       Admin: one method per admin API
producer.py    Producer
consumer.py    Consumer
"""
