"""What a venue has settled about logging in: values of the settings file, and fixed ones."""

from dataclasses import dataclass, field
from typing import Literal

from store.users import Role

Registration = Literal["closed", "invitation", "open"]


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """How users come in.

    `mfa_roles` must have a second factor. `step_up_s` is how fresh it must be for what is
    dangerous, `login_lifetime_s` how long a login may be refreshed.
    """

    registration: Registration = "invitation"
    mfa_roles: frozenset[Role] = field(default_factory=frozenset)
    step_up_s: int = 300
    login_lifetime_s: int = 12 * 3600
