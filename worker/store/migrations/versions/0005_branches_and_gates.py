"""Versions of every branch of a job, and what the gate found of a promotion."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "promotions",
        sa.Column("action", sa.String(length=16), nullable=False, server_default="promote"),
    )
    op.add_column("promotions", sa.Column("gate", sa.JSON(none_as_null=True), nullable=True))
    for name, length in (("branch", 64), ("variant", 16)):
        column = sa.Column(name, sa.String(length=length), nullable=False, server_default="")
        op.add_column("versions", column)
    connection = op.get_bind()
    versions = sa.table(
        "versions", *map(sa.column, ("model", "version", "branch", "variant", "card"))
    )
    for model, version, card in connection.execute(
        sa.select(versions.c.model, versions.c.version, versions.c.card)
    ).all():
        tree: dict[str, Any] = json.loads(card) if isinstance(card, str) else card
        connection.execute(
            sa.update(versions)
            .where(versions.c.model == model, versions.c.version == version)
            .values(branch=tree.get("branch", ""), variant="fp32")
        )
    if connection.dialect.name == "sqlite":
        _made_again()
    else:
        op.drop_constraint("one_version_a_job", "versions")
        op.create_unique_constraint(
            "one_version_a_branch", "versions", ["model", "job_id", "branch", "variant"]
        )


def _made_again() -> None:
    """SQLite changes no constraint of a table that is there.

    `promotions` refers to it: who refers to nobody is counted when the table is dropped and counted
    off when the rows are back under its name, so that the end of the transaction finds none. A
    table that is renamed, as Alembic's batches do it, would not be counted off.
    """
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
        sa.UniqueConstraint("model", "job_id", "branch", "variant", name="one_version_a_branch"),
    )
    columns = (
        "model, version, key, bytes, sha256, card, metrics, receipt, job_id, branch, variant, "
        "created_at"
    )
    op.execute(f"INSERT INTO versions ({columns}) SELECT {columns} FROM versions_before")
    op.execute("DROP TABLE versions_before")
