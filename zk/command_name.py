"""By which name a command was called: its script in bin/, or the entry point that an environment has of it."""

import os
import sys


def typed(script: str) -> str:
    """The script's name, unless what was typed is an entry point of it: kafka-topics for kafka-topics.sh."""
    name = os.path.basename(sys.argv[0])
    return name if f"-{name}.sh".endswith(f"-{script}") else script
