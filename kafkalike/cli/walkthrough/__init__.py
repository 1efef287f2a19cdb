"""walkthrough.sh: the documented publish-subscribe workflow, W1 to W14, each step run for real, shown and asserted.

__main__.py      the command: options, the order of steps, the exit code
report.py        what a step says, as text for 80 columns or as JSON
cluster.py       a cluster of its own: embedded ZooKeeper and brokers, started, killed, started again
ending.py        Ctrl-C at any moment: all that was started ends at once
tidying.py       what the walk made on a cluster that is not its own is removed
addresses.py     whether what a user has given is the ZooKeeper and the brokers of one cluster
classic.py       a consumer that registers in ZooKeeper
stage.py         what steps act on: topics, groups, znodes before and after, bytes in the log
producing.py     W1 to W3
subscribing.py   W4 to W6
receiving.py     W7 to W9
acknowledging.py W10, W11
outages.py       W12, W13
rewinding.py     W14
reader.py        the consumer process that W12 kills
"""
