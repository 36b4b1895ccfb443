"""The schema's steps, read by Alembic."""
