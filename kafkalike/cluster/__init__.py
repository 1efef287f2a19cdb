"""What the cluster agrees on: the znodes, the metadata image, who is alive. broker/, controller/ and coordinator/
call it.

membership.py         this broker's registration, and its place in the cluster
metadata.py           the image of the cluster that Metadata is answered from
metadata_cache.py     the current image, and who waits for it to show something
topic_names.py        which topic names are legal, internal, or collide
znode_sizes.py        how large a znode would become
znodes/               one class per znode
zookeeper.py          the verbs for every class of znodes
zookeeper_metrics.py  the ZooKeeper session's numbers
"""
