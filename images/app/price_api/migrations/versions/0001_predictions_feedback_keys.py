"""Predictions, what was paid, and API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.String(32), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("listing", sa.JSON(), nullable=False),
        sa.Column("make", sa.String(60)),
        sa.Column("model", sa.String(60)),
        sa.Column("asking_price_mad", sa.Double()),
        sa.Column("price_mad", sa.Double(), nullable=False),
        sa.Column("low_mad", sa.Double(), nullable=False),
        sa.Column("high_mad", sa.Double(), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("shadow_version", sa.String(32)),
        sa.Column("shadow_price_mad", sa.Double()),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_predictions")),
    )
    for columns in (
        ["at", "prediction_id"],
        ["make", "model", "at"],
        ["version", "at"],
        ["shadow_version", "at"],
    ):
        op.create_index(op.f(f"ix_predictions_{'_'.join(columns)}"), "predictions", columns)
    op.create_table(
        "feedback",
        sa.Column("prediction_id", sa.String(32), nullable=False),
        sa.Column("price_paid_mad", sa.Double(), nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_feedback")),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.prediction_id"],
            name=op.f("fk_feedback_prediction_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("last_characters", sa.String(4), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("revoked_at", moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_keys_key_sha256")),
    )
    op.create_index(
        "ix_api_keys_name_in_force",
        "api_keys",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("api_keys")
    op.drop_table("feedback")
    op.drop_table("predictions")
