"""What the cluster agrees on: the znodes, the metadata image, who is alive."""
