"""Run by Alembic: the migrations of the prediction log, on the connection that `database.migrate` opened."""

from alembic import context

from price_api.database import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite changes a table by making a new one; both databases can take a schema change back.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
