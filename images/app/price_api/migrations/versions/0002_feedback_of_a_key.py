"""Which key a feedback came with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column("feedback", sa.Column("recorded_by", sa.String(60)))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("feedback", "recorded_by")
