"""The controller: one broker that decides who leads what, and tells the others.

The broker builds a `Controller`, and broker/apis/ submits steps to it. `=` are steps and values without I/O.

controller.py               wins /controller, turns watches into steps, carries out what steps ask for
event_queue.py              events, one at a time in their order
fenced_writes.py            writes to ZooKeeper that happen only while this controller's epoch is the newest
outbox.py                   to each broker a queue of control requests, one under way
dead_brokers.py             notices that a broker's process died before its session ends
effects.py                  = what steps ask for, and what they get
context.py                  = what the controller believes during its term
failover.py                 = how a new controller begins its term
broker_changes.py           = brokers that start, fail, come back, move or ask to stop
notifications.py            = failed log directories, and ISRs that old brokers changed
control_requests.py         = LeaderAndIsr, UpdateMetadata and StopReplica of one step, merged per broker
control_responses.py        = which steps follow from brokers' responses to these
partition_state_machine.py  = partitions: new, online, offline; their elections
replica_state_machine.py    = replicas: new, online, offline, deleted
partition_znodes.py         = partitions' state znodes: read, and changed under their version
election_strategies.py      = who leads next: offline, preferred, reassignment, shutdown
leader_election.py          = elections that somebody asks for, and automatic rebalancing of leaders
isr.py                      = AlterPartition: changes of the ISR that leaders ask for
unclean_shutdown.py         = brokers that were not stopped cleanly leave the ISRs
unclean_recovery.py         = the longest log leads when all live in-sync replicas are suspect
topic_creation.py           = new topics and partitions get their first leaders
topic_deletion.py           = deleted topics: replicas first, then znodes
reassignment.py             = partitions on their way to other brokers (KIP-455)
admin_znodes.py             = deletes request znodes under /admin that are carried out
assignment.py               = which brokers get the replicas of new partitions
topic_admin.py              creates, extends and deletes topics by znodes, as the admin APIs ask
auto_topic_creation.py      creates topics that somebody needs
controller_gauges.py        the controller's numbers for operators
"""
