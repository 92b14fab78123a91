"""Jobs have a priority, say what device they need, and what keeps them from it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("5"))
    )
    op.add_column(
        "jobs", sa.Column("needs", sa.String(length=8), nullable=False, server_default="any")
    )
    op.add_column("jobs", sa.Column("held_up", sa.String(length=200), nullable=True))
    op.create_index("jobs_by_turn", "jobs", ["state", "needs", sa.text("priority DESC"), "id"])
