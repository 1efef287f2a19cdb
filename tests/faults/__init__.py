"""A cluster under faults: what its clients did and saw is written down, and judged afterwards.

    history.py    what clients record: invocations and outcomes on one clock
    checker.py    the judge: pure functions from evidence to violations
    replica_files.py    the third kind of evidence: the brokers' own files
    cluster.py    three brokers and a ZooKeeper, ours or Apache's, and who has which part
    network.py    a namespace for each server, and cuts between them
    clients.py    producers, consumers, group members and observers that record
    scenario.py   warm up, fault, heal, converge, read everything, judge
    ledger.py     LEDGER.md: what ran, when, at which commit, with which result
    test_*.py     the faults, one named test each

Most tests are marked `faults`: `bin/test.sh --faults` runs them. With `--on apache` the same scenarios run on Apache
Kafka, which must come out clean but for what it is known to lose: there the checker and the harness are on trial.
"""
