"""kafka-consumer-groups by its actions; cli/consumer_groups.py has its options, and the deletions.

scope.py          which groups and partitions the options name
description.py    --list, --describe
offset_reset.py   --reset-offsets
"""
