"""Jobs that belong to another job, and what is known of a version beside its file."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batches: SQLite would copy `jobs` and drop it, and take along all that refers to it.
    op.add_column("jobs", sa.Column("parent_id", sa.String(length=36), nullable=True))
    op.create_index("jobs_by_parent", "jobs", ["parent_id", "id"], unique=False)
    op.add_column("versions", sa.Column("receipt", sa.JSON(none_as_null=True), nullable=True))
