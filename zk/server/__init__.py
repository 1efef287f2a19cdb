"""A single-node server that speaks the ZooKeeper protocol: the development default, one command without Java.

    main.py          the command: config file, start-up, signals
    stop.py          the other command
    config.py     =  the properties file: one line per key
    wire.py       =  jute records: request and reply bytes, codes
    paths.py      =  what a request gives for a path: whether it can be one, what is above it
    tree.py       =  znodes: stat, zxid, ACLs; multi and its rollback; exact snapshots
    sessions.py   =  who is connected, until when
    watches.py    =  who wants to hear of which path
    entries.py    =  what the journal holds, and doing it again
    standalone.py =  one request in; replies, watch events and journal entries out
    words.py      =  the four-letter words' answers
    journal.py    F  transaction log, snapshots, recovery
    listener.py   T  sockets to standalone and back; group commit

Nothing here imports kafkalike. The pure part (tree, sessions, watches, standalone) is also what simulations run
against.
"""
