"""What the migration tool runs: on the connection it is given, or, for drawing up a step, on a URL."""

from alembic import context

from backlane.store.rooms import metadata


def run() -> None:
    """Apply the steps on the caller's connection, whose transaction they join."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True
    )
    context.run_migrations()


run()
