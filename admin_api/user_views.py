"""Users as the endpoints show them."""

from typing import Any

from store.users import UserRow


def user_fields(row: UserRow) -> dict[str, Any]:
    """Return what may be shown of a user, as fields of a view."""
    return {
        "user_id": row.user_id,
        "name": row.name,
        "role": row.role,
        "firm_id": row.firm_id,
        "status": row.status,
        "has_mfa": row.has_mfa,
        "created_at": row.created_at,
        "password_changed_at": row.password_changed_at,
    }
