"""What the migration tool runs: on the connection it is given, or, for drawing up a step, on a URL."""

from alembic import context

from backlane.store import (
    people,
    tables,
    tables_actions,
    tables_case,
    tables_lanes,
    tables_policy,
    tables_review,
    tables_wire,
)
from backlane.store.columns import metadata

# Importing the rooms is what fills the metadata.
_ROOMS = (
    people,
    tables,
    tables_actions,
    tables_case,
    tables_lanes,
    tables_policy,
    tables_review,
    tables_wire,
)


def run() -> None:
    """Apply the steps on the caller's connection, whose transaction they join."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True
    )
    context.run_migrations()


run()
