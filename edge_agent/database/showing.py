"""Whether tables alone say what counts, or the views that also look at what waits for its place.

Where a checkpoint of the feed is being merged, the views ``shown_…`` show it whole. The rest of the
time they say what the tables say, and cost a receipt several times as much.
"""

from __future__ import annotations

from typing import Final

import apsw

from shared.sqlfile import load_queries

_QUERIES: Final = load_queries("edge_agent.database")


def tables_suffice(connection: apsw.Connection) -> bool:
    """Whether they do, until the present transaction ends; False outside one.

    Without a transaction a checkpoint could be shown, and half of it merged, before the next look.
    """
    return connection.in_transaction and not connection.execute(_QUERIES["checkpoint_waits"]).get
