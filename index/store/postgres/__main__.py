"""`python -m index.store.postgres ADDRESS`: shard an index that lies on one server, by Citus.

A new index is sharded by itself where the extension citus is there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing

from index.errors import IndexProblem, StoreError
from index.store.postgres.address import connected, parsed, translated
from index.store.postgres.schema import check_version, distribute, has_citus, search_path, unsuited_to_sharding


def main(arguments: Sequence[str]) -> int:
    """Shard the index at the one address among `arguments`; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: {(__doc__ or '').partition(':')[0].strip('`')}\n")
        return 2
    try:
        shard(arguments[0])
    except IndexProblem as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    return 0


def shard(text: str) -> None:
    """Distribute the tables of the index at an address.

    Raises:
        IndexMissing, FormatTooNew: As they say.
        StoreError: There is no Citus, or the tables are not fit for it.
    """
    address = parsed(text)
    with closing(connected(address)) as connection, translated(address):
        check_version(connection, address)
        if not has_citus(connection):
            raise StoreError(
                f"the database of {address.shown} has no Citus", "the extension citus", "CREATE EXTENSION citus"
            )
        if wrong := unsuited_to_sharding(connection, address):
            raise StoreError(f"{address.shown} cannot be sharded: {'; '.join(wrong)}", "the layout of this version")
        with connection.transaction():
            connection.execute(f"SET LOCAL search_path = {search_path(connection, address)}")
            distribute(connection)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
