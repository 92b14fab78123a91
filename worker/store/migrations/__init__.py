"""Alembic's revisions, packaged with the code; `Database.upgrade` runs them."""
