"""Whole brokers in one process, under a seeded scheduler: simulated clocks, network, disks and ZooKeeper.

    python -m tests.simulation --seeds 1000 [--from N]     seeds, one after the other
    python -m tests.simulation --seed N --trace            one seed, told event by event
    python -m tests.simulation --hunt MINUTES [--jobs 2]   fresh seeds, after every big change; adds to LEDGER.md

What runs is the product: `kafkalike.broker.broker.Broker` with everything that it builds. Replaced are only the edges
(patches.py): the reactor, sockets between brokers, kazoo, threads, the clock and the log's files. A run is a function
of its options, and those of the seed; so a failure replays from (seed, commit), and shrinks.

    world.py              the scheduler, machines' clocks, their reactors
    network.py            connections: delay, order, cuts, breaks
    zookeeper.py          an ensemble on zk/server's tree, and the client that brokers use
    disk.py               what a machine's disk holds, and the log on it
    machine.py            a broker on its machine: start, stop, kill, power loss, pause
    patches.py            how the product is put on all this
    clients.py            producers and consumers
    offset_committers.py  groups that commit offsets, without members
    group_members.py      members of groups: join, commit, leave, die
    group_invariants.py   what must hold of a group with members
    recreated_topic.py    a group that commits offsets of a topic that is deleted and created again
    faults.py             what goes wrong
    options.py            sizes, knobs and which faults: drawn from the seed
    invariants.py         what must hold after every event, and in the end
    run.py                one seed: safety phase, then everything healed, then liveness
    campaign.py           many seeds, in several processes; the seed that finds a mutant; the smallest run that fails
    situations.py         what a set of seeds must have met
    mutants.py            rules of the product, each broken on purpose
    seeds.txt             seeds that failed once, and what fixed them
    ledger.py             LEDGER.md: which seeds ran at which commit; MUTANTS.md: how many seeds found each mutant
    command_line.py       the options above
"""
