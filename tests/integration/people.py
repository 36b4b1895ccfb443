"""Users of a running venue, one of each role, and what they call."""

import secrets
from typing import Any, Final

from admin_api.auth.permissions import Permission
from fix_gateway.tools.rest import Answer, RestClient
from store.users import FIRM_ROLES, Role
from tests.integration.venue_process import VenueProcess

METHODS: Final = {"get", "put", "post", "delete", "patch"}
ALPHA: Final = 1
BETA: Final = 2


class People:
    """Makes users of a venue and remembers who has logged in."""

    def __init__(self, venue: VenueProcess) -> None:
        self.venue = venue
        self.url = f"http://127.0.0.1:{venue.rest_port}"
        self.admin = venue.log_in()

    def add(self, role: Role, firm_id: int | None = None) -> tuple[str, str, int]:
        """Make a user. Returns name, password and identity."""
        name = f"{role}-{secrets.token_hex(4)}"
        if firm_id is None and role in FIRM_ROLES:
            firm_id = ALPHA
        body = {"name": name, "role": role, "firm_id": firm_id}
        made = self.admin.order("POST", "/v1/users", body)
        return name, made["password"], made["user_id"]

    def client(self, role: Role, firm_id: int | None = None) -> RestClient:
        """Return a client that is a new user."""
        name, password, _ = self.add(role, firm_id)
        return RestClient(self.url, name, password)

    def with_token(self, token: str) -> RestClient:
        """Return a client that shows a token, and never logs in."""
        return RestClient(self.url, "", "", token=token)

    def operations(self) -> list[tuple[str, str, Permission | None, dict[str, Any]]]:
        """Return every operation of the OpenAPI document: method, path, permission, itself."""
        document = self.admin.get("/openapi.json")
        found = []
        for path, item in document["paths"].items():
            for method in METHODS & set(item):
                operation = item[method]
                security = operation.get("security")
                permission = None
                if security is not None:
                    ((scopes,),) = (entry.values() for entry in security)
                    permission = Permission(scopes[0])
                found.append((method.upper(), path, permission, operation))
        return sorted(found, key=lambda one: (one[1], one[0]))


def code_of(answer: Answer) -> str | None:
    """Return the code of a refusal, None for a good answer."""
    return None if answer.is_good else answer.body["code"]
