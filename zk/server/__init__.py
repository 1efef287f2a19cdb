"""A single-node server that speaks the ZooKeeper protocol: the development default, one command without Java.

    main.py                  the command: config file, start-up, signals
    stop.py                  the other command
    config.py             =  the properties file: one line per key
    tree.py               =  znodes: stat, zxid, ACLs; multi and its rollback; exact snapshots
    sessions.py           =  who is connected, until when
    watches.py            =  who wants to hear of which path
    journal_entries.py    =  what the journal holds, and doing it again
    standalone.py         =  one request in; replies, watch events and journal entries out
    four_letter_words.py  =  the four-letter words' answers
    journal.py            F  transaction log, snapshots, recovery
    acceptor.py           T  the listening port; it pauses while there are no file descriptors
    listener.py           T  sockets to standalone and back; group commit

The wire format and the rules for paths, which the clients share, are in zk/wire.py and zk/paths.py. The pure
part (tree, sessions, watches, standalone) is also what simulations run against.
"""
