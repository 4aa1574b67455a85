"""Which key asked, how much was known of the car, and prices paid that are far from the estimate."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("predictions", sa.Column("key_name", sa.String(60)))
    op.add_column("predictions", sa.Column("evidence", sa.String(8)))
    op.create_index(op.f("ix_predictions_key_name_at"), "predictions", ["key_name", "at"])
    op.add_column("feedback", sa.Column("unlikely", sa.Boolean(), nullable=False, server_default=sa.false()))
    # Who asked before this revision is not known. A price paid stays with the key that gave it.
    op.execute(
        "UPDATE predictions SET key_name = (SELECT recorded_by FROM feedback"
        " WHERE feedback.prediction_id = predictions.prediction_id)"
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("feedback", "unlikely")
    op.drop_index(op.f("ix_predictions_key_name_at"), "predictions")
    op.drop_column("predictions", "evidence")
    op.drop_column("predictions", "key_name")
