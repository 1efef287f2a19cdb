"""The client for scripts and commands: plain sockets, no event loop. Imports are left to the caller, for start-up time.

loop.py                the engine on sockets and select
operation.py           steps as methods that return when they have ended
admin.py               Admin, without a thread
producer.py            Producer, with one that sends
consumer.py            Consumer, with one if it is a member of a group
broker_connection.py   one broker that is asked directly
"""
