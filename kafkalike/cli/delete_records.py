"""kafka-delete-records.sh: deletes the records of partitions before an offset."""

from __future__ import annotations

from typing import Any

import click

from kafkalike.cli.options import (
    Command,
    bootstrap_server,
    command_config,
    fail,
    failure_text,
    load_properties,
    read_file,
    version,
)
from kafkalike.cli.planning import partition_json
from kafkalike.cli.planning.partition_json import name


@click.command(
    "kafka-delete-records.sh",
    cls=Command,
    help="This tool helps to delete records of the given partitions down to the specified offset.",
)
@bootstrap_server(required=False)
@click.option(
    "--offset-json-file",
    metavar="FILE",
    help='{"version":1,"partitions":[{"topic":"foo","partition":1,"offset":1}]}; offset -1 is the high watermark.',
)
@command_config()
@version
def main(**given: Any) -> None:
    """Asks each partition's leader; one that refuses does not keep the others."""
    for option in ("bootstrap_server", "offset_json_file"):
        if given[option] is None:
            fail(f'Missing required argument "[{option.replace("_", "-")}]"')
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.errors import TimedOut
    from kafkalike.client.properties import admin_options
    from kafkalike.errors import KafkaError

    offsets = partition_json.offsets(read_file(given["offset_json_file"]))
    with Admin(given["bootstrap_server"], **admin_options(load_properties(given["command_config"]))) as admin:
        print("Executing records delete operation")
        results = []
        for partition, offset in offsets.items():
            try:
                results.append(f"low_watermark: {admin.delete_records({partition: offset})[partition]}")
            except (KafkaError, TimedOut) as problem:
                results.append(f"error: {failure_text(problem)}")
        print("Records delete operation completed:")
        for partition, result in zip(offsets, results, strict=True):
            print(f"partition: {name(partition)}\t{result}")


if __name__ == "__main__":
    main()
