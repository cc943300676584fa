"""Alembic's entry: the connection is handed in by `alongside.ledger.migrations`, inside its transaction and lock."""

from alembic import context

from alongside.ledger import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
context.run_migrations()
