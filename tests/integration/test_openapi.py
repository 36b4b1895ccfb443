"""The OpenAPI document and the running service say the same, whatever is sent."""

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeAlias

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from admin_api.auth.permissions import TABLE, Permission
from admin_api.schemas.fields import INTEGER_MAX
from store.users import Role
from tests.integration.people import People, code_of
from tests.integration.venue_process import VenueProcess

Operation: TypeAlias = schemathesis.APIOperation[Any, Any, Any, Any]

EXAMPLES_WANTED: Final = os.environ.get("WCX_TEST_REST_EXAMPLES")
"""How many of each kind for every operation. Unless it is said, some operations have a few."""
EXAMPLES: Final = int(EXAMPLES_WANTED or "2")
LOOKED_AT: Final = 1 if EXAMPLES_WANTED else 3
"""One operation in so many is tried: in each run others, for the sake of time."""
SEED: Final = os.environ.get("WCX_TEST_SEED")
NO_LIMIT: Final = "100000"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Objects that there are: what is random alone would hardly ever get past a 404.
OBJECTS: Final = {
    "account_id": 1,
    "firm_id": 1,
    "session_id": 3,
    "credential_id": 3,
    "symbol": "BTC-USD",
}
MODES: Final = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def people(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A venue of its own, which need not be as it was afterwards."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("openapi") / "var"))
    unlimited = {
        f"WCX_REST__{name}": NO_LIMIT
        for name in ("USER_RATE", "USER_BURST", "LOGIN_RATE", "LOGIN_BURST", "ORDER_RATE")
    }
    venue = VenueProcess(data_dir, WCX_PROJECTOR__ENABLED="true", **unlimited).start()
    yield People(venue)
    assert venue.stop() == 0, venue.log_text()


class Callers:
    """Gives each operation somebody who may call it: another one when he has locked himself out."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._permissions = {
            f"{method} {path}": permission for method, path, permission, _ in people.operations()
        }
        self._tokens: dict[Role, str] = {}

    def headers_for(self, operation: Operation) -> dict[str, str]:
        """Return what shows that the caller may call, if that is asked for."""
        permission = self._permissions[operation.label]
        if permission is None:
            return {}
        return {"Authorization": f"Bearer {self._token_for(permission)}"}

    def _token_for(self, permission: Permission) -> str:
        role = next(role for role in Role if permission in TABLE[role])
        if role not in self._tokens:
            client = self._people.client(role)
            client.get("/v1/me")
            self._tokens[role] = client.token or ""
        return self._tokens[role]

    def forget(self) -> None:
        """Let others call from now on: somebody has ended his own login."""
        self._tokens.clear()


def test_every_operation_answers_as_the_document_says(people: People) -> None:
    """What fits and what does not: no fault, no other status, header or body than is documented."""
    seed = random.randrange(2**32) if SEED is None else int(SEED)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails.
    document = people.admin.get("/openapi.json")
    for item in document["paths"].values():
        for operation in item.values():
            # Every call bears a token here: what happens without one is looked at below.
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=people.url)
    objects = {**OBJECTS, "user_id": people.add(Role.SUPPORT)[2]}
    callers = Callers(people)
    wrong: list[str] = []
    unfit: list[str] = []
    tried = 0
    operations = list(schema.get_all_operations())
    for found in random.Random(seed).sample(operations, len(operations) // LOOKED_AT):
        assert isinstance(found, Ok)
        asked = found.ok()
        takes_something = any(asked.iter_parameters()) or asked.body
        for mode in MODES if takes_something else MODES[:1]:
            check = _make_check(asked, mode, callers, objects)
            tried += 1
            try:
                hypothesis.seed(seed)(check)()
            except hypothesis.errors.Unsatisfiable:
                unfit.append(asked.label)
            except FailureGroup as failed:
                wrong += [f"{asked.label}: {one}" for one in failed.exceptions]
    assert not wrong, "\n\n".join(wrong)
    assert not unfit, unfit
    assert tried > 150 // LOOKED_AT


def could_be_user(user_id: object) -> bool:
    text = str(user_id)
    return text.isascii() and text.isdigit() and 1 <= int(text) <= INTEGER_MAX


def _make_check(
    operation: Operation,
    mode: schemathesis.GenerationMode,
    callers: Callers,
    objects: dict[str, object],
) -> Callable[[], None]:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(mode))
    def check(case: schemathesis.Case[Any]) -> None:
        given = case.path_parameters
        for name in set(given) & set(objects):
            # One that cannot be is left, and of users nobody is touched who is needed.
            if mode is MODES[0] or (name == "user_id" and could_be_user(given[name])):
                given[name] = objects[name]
        response = case.call(headers=callers.headers_for(operation))
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            callers.forget()
        case.validate_response(response, checks=CHECKS)

    return check


def test_other_methods_are_told_which_there_are(shared_venue: VenueProcess) -> None:
    """405 and Allow, for everything that the document does not have."""
    people = People(shared_venue)
    known: dict[str, set[str]] = {}
    for method, path, _, _ in people.operations():
        known.setdefault(path, set()).add(method)
    anybody = people.with_token("")
    wrong = []
    for path, methods in known.items():
        target = re.sub(r"{\w+}", "1", path)
        for method in {"GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "OPTIONS"} - methods:
            answer = anybody.call(method, target)
            allowed = set(answer.headers.get("allow", "").split(", "))
            if (answer.status, code_of(answer)) != (405, "method_not_allowed") or (
                allowed != methods
            ):
                wrong.append((method, path, answer))
    assert wrong == []


def test_nobody_gets_in_without_a_token(shared_venue: VenueProcess) -> None:
    """Whatever the document says is for somebody: none, a made-up one, one of another kind."""
    people = People(shared_venue)
    wrong = []
    for method, path, permission, _ in people.operations():
        for token in ("", "made-up", "wcx_made-up"):
            answer = people.with_token(token).call(method, re.sub(r"{\w+}", "1", path))
            is_refused = (answer.status, code_of(answer)) == (401, "unauthenticated")
            if permission is not None and not is_refused:
                wrong.append((method, path, token, answer))
    assert wrong == []
    open_to_all = {path for _, path, permission, _ in people.operations() if permission is None}
    assert open_to_all == {
        "/healthz", "/readyz", "/v1/version", "/v1/login", "/v1/login/refresh", "/v1/registrations",
    }  # fmt: skip
