"""Record batches in files: one partition's log in Kafka's formats; blocking, one caller, no sockets."""
