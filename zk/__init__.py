"""ZooKeeper, and nothing of Kafka: two clients, recipes, a command line, and a small server.

ensemble.py         =  connect strings
paths.py            =  paths of znodes: what they may hold, the way to the root
wire.py             =  the wire format, which the clients and the server share
client.py           T  a session on the reactor; kazoo keeps its connection
recipes.py          T  what is commonly wanted of a session: claim, elect, update, watch
blocking_client.py     a small client on a plain socket, for commands
shell.py               zookeeper-shell.sh
server/                the embedded server
address_check.py       what is wrong with an address: a broker's, ZooKeeper's, nobody's
packaged_files.py      the properties files that come with the packages
command_name.py        by which name a command was called
daemon.py              the way into the background
processes.py           finding a running server, for the commands that stop one
signals.py             Ctrl-C and SIGTERM
descriptors.py         how many file descriptors a process may have
"""

from zk.signals import quiet_imports

quiet_imports()
