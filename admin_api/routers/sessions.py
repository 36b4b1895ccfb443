"""FIX sessions."""

from fastapi import APIRouter, Depends

from admin_api.schemas import FixSessionPage, FixSessionView
from admin_api.services import ServicesOf, require_operator
from store.sessions import list_sessions

router = APIRouter(
    prefix="/v1/sessions", tags=["sessions"], dependencies=[Depends(require_operator)]
)


@router.get("")
async def list_fix_sessions(services: ServicesOf) -> FixSessionPage:
    """Return all FIX sessions with their present owners. For operators."""
    async with services.database.transaction() as connection:
        rows = await list_sessions(connection)
    items = []
    for row in rows:
        grant = services.engine.find_grant(row.session_id)
        items.append(
            FixSessionView(
                session_id=row.session_id,
                firm_id=row.firm_id,
                account_id=row.account_id,
                begin_string=row.begin_string,
                client_comp_id=row.client_comp_id,
                is_enabled=row.is_enabled,
                is_held=grant is not None and grant.is_held,
                epoch=0 if grant is None else grant.epoch,
                generation=0 if grant is None else grant.generation,
            )
        )
    return FixSessionPage(items=items)
