"""Sockets: accepted connections and outgoing ones. broker/ builds them; they know nothing of API keys.

acceptor.py           a listening port that pauses while there are no file descriptors
listener.py           a bound port, with its idle connections
server.py             the accepted connections of one listener
connection.py         one accepted connection: frames in, responses out in request order
connection_limits.py  max.connections and max.connections.per.ip
file_descriptors.py   the budget of file descriptors
outlet.py             the output of one connection: bytes and ranges of files, in order
peer.py               an outgoing connection to another broker
reactor.py            Twisted's epoll reactor for many connections
"""
