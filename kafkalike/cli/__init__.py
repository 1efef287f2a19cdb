"""The commands behind bin/, one click command per file."""

from zk.signals import quiet_imports

quiet_imports()
