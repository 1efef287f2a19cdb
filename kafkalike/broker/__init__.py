"""The composition root: builds a broker from its parts, starts and stops it, dispatches requests.

cli/server_start.py builds a `KafkaServer`; net/ hands frames to dispatch.py.

broker.py               what a broker is made of: what each handler in apis/ gets
apis/                   one file per API that the broker serves
kafka_server.py         builds one broker from its parts, starts and stops it
dispatch.py             frames to requests: API, version, decoding
gates.py                the gates that every request passes: principal, access, quota, handler, throttle
access.py               what a request needs to be allowed
request.py              one request under way, from its handler to the bytes of its response
pending_response.py     a response that will be there later
request_metrics.py      Kafka's RequestMetrics, by API
listeners.py            the broker's listeners: bound, served, announced
metrics_listener.py     the HTTP server of metrics.listeners
produce_fast_path.py    Produce requests that repeat the form of the one before them
produce_forwarding.py   Produce requests that came to the former leader are handed on to the new one
current_leader.py       tells clients the present leader with the error (KIP-951)
fetch_sessions.py       fetch sessions (KIP-227)
bulk_requests.py        requests for many things, done a slice at a time
distinct_partitions.py  what a request names, each partition once
epoch_checks.py         refuses control requests with epochs that nobody ever had
config_admin.py         what AlterConfigs and IncrementalAlterConfigs have in common
dynamic_config.py       configuration from ZooKeeper, read again at each notification
loggers.py              loggers and their levels while the broker runs (KIP-412)
log_dir_events.py       tells the controller of failed log directories
control_channel.py      requests between controller and brokers, both ways
controlled_shutdown.py  leadership goes to other brokers before this one stops
peer_connections.py     connections to the other brokers
peer_liveness.py        notices at once when another broker's process dies
peer_probe.py           whether a broker is there at all
file_descriptors.py     how logs and clients share the file descriptors of this process
group_lag.py            how far groups are behind, for operators
"""
