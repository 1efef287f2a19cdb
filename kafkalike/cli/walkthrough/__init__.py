"""walkthrough.sh: the documented publish-subscribe workflow, W1 to W14, each step run for real, shown and asserted.

__main__.py          the command: options, the order of steps, the exit code
report.py            what a step says, as text for 80 columns or as JSON
cluster.py           a cluster of the walk's own: embedded ZooKeeper and brokers, started, killed, started again
interruption.py      Ctrl-C at any moment: all that the walk started ends at once
cleanup.py           removes what the walk made on a cluster that is not its own
addresses.py         checks that the addresses a user has given are the ZooKeeper and the brokers of one cluster
classic_consumer.py  a consumer that registers in ZooKeeper
stage.py             what steps act on: topics, groups, znodes before and after, bytes in the log
producing.py         W1 to W3
subscribing.py       W4 to W6
polling.py           W7 to W9
committing.py        W10, W11
outages.py           W12, W13
killed_consumer.py   the consumer process that W12 kills
rewinding.py         W14
"""
