"""The client for programs on Twisted's reactor: no thread, and each call gives a Deferred.

driver.py     the engine on the reactor
admin.py      Admin
producer.py   Producer
consumer.py   Consumer
"""
