"""Alembic's entry: runs on the connection, in the transaction, that `Database.upgrade` gives."""

from alembic import context

from worker.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,  # SQLite can, once its driver leaves transactions to us
    render_as_batch=True,
)
context.run_migrations()
