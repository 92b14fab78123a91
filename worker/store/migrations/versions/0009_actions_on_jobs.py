"""Jobs are stopped, resumed, repeated, limited in time and pruned; each ending has its version."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEY = ("model", "job_id", "branch", "variant", "sha256")


def upgrade() -> None:
    op.add_column(
        "jobs",
        sa.Column("stop_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    for name in ("timeout_s", "deadline_at", "pruned_at"):
        op.add_column("jobs", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("retry_of", sa.String(length=36), nullable=True))
    op.add_column("jobs", sa.Column("checkpoint", sa.JSON(none_as_null=True), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _made_again()
    else:
        op.drop_constraint("one_version_a_branch", "versions")
        op.create_unique_constraint("one_version_a_file", "versions", _KEY)


def _made_again() -> None:
    """SQLite changes no constraint of a table that is there; see migration 0005 for the way."""
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE versions_before AS SELECT * FROM versions")
    op.drop_table("versions")
    op.create_table(
        "versions",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=500), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("card", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("metrics", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("receipt", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("branch", sa.String(length=64), nullable=False),
        sa.Column("variant", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.ForeignKeyConstraint(["model"], ["models.name"]),
        sa.PrimaryKeyConstraint("model", "version"),
        sa.UniqueConstraint(*_KEY, name="one_version_a_file"),
    )
    columns = (
        "model, version, key, bytes, sha256, card, metrics, receipt, job_id, branch, variant, "
        "created_at"
    )
    op.execute(f"INSERT INTO versions ({columns}) SELECT {columns} FROM versions_before")
    op.execute("DROP TABLE versions_before")
