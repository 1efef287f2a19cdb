"""The client for scripts and commands: plain sockets, no event loop. Imports are left to the caller, for start-up time.

network.py    connections, versions, metadata, leaders and coordinators, retries
admin.py      Admin: one method per admin API
producer.py   Producer
consumer.py   Consumer
"""
