"""A single-node server that speaks the ZooKeeper protocol: the development default, one command without Java.

    main.py          the command: config file, start-up, signals
    config.py     =  zoo.cfg: one line per key
    wire.py       =  jute records: request and reply bytes, error codes
    tree.py       =  znodes
    sessions.py   =  who is connected, until when
    watches.py    =  who wants to hear of which path
    standalone.py =  one request in; replies, watch events and journal entries out
    journal.py    F  transaction log, snapshots, recovery
    listener.py   T  sockets to standalone and back
    words.py      =  the four-letter words' answers

Nothing here imports kafkalike. The pure part (tree, sessions, watches, standalone) is also what simulations run
against.
"""
