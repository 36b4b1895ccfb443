"""Money: deposits, withdrawals and transfers. Amounts are decimal text."""

from typing import Annotated

from pydantic import BaseModel, Field

from admin_api.schemas.fields import Identity, RequestBody
from admin_api.schemas.pages import Page

DecimalText = Annotated[str, Field(min_length=1, max_length=40, examples=["1000.50"])]
AssetSymbol = Annotated[str, Field(max_length=32, examples=["USD"])]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,36}$", examples=["wire-2026-0417"])]


class DepositBody(RequestBody):
    """Money that has come in from outside."""

    asset: AssetSymbol
    amount: DecimalText
    reference: Reference | None = Field(
        default=None, description="Its name: an account uses one once. Else the Idempotency-Key"
    )


class MovementView(BaseModel):
    """Money that has moved."""

    engine_seq: int
    account_id: int
    asset: str
    amount: str
    balance: str = Field(description="What the account has now")
    reference: str


class WithdrawalBody(DepositBody):
    """Money that is to leave the venue."""


class TransferBody(DepositBody):
    """Money for another account of the firm."""

    to_account_id: Identity


class WithdrawalView(BaseModel):
    """Money that is set aside until somebody of the venue says that it has left, or shall not."""

    withdrawal_id: int
    account_id: int
    asset: str
    amount: str
    reference: str


class WithdrawalsView(Page[WithdrawalView]):
    """Withdrawals under way, the oldest first."""


class SettlementBody(RequestBody):
    """Why it ends so."""

    reason: str = Field(default="", max_length=200, pattern=r"^[ -~]*$")
