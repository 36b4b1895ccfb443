"""A client of the admin API: logs in, sends and reads JSON."""

import http
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

ANSWER_WAIT_S: Final = 60.0
PAGE_ITEMS_MAX: Final = 1000


class RestError(Exception):
    """The admin API has not done as asked; the text says why, for people."""


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is JSON, None for an empty one."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def is_good(self) -> bool:
        """Whether it was done."""
        return self.status < http.HTTPStatus.BAD_REQUEST


class RestClient:
    """Calls the admin API as one user. Logs in when that is needed. For one thread.

    `token` is what is shown: the access token, or from the start an API key, which needs no login.
    `ask_code` is asked for a code of the second factor when the login needs one.
    """

    def __init__(
        self,
        url: str,
        name: str,
        password: str,
        *,
        token: str | None = None,
        ask_code: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._url = url
        self._name = name
        self._password = password
        self.token = token
        self.refresh_token: str | None = None
        self._ask_code = ask_code
        self._can_log_in = token is None

    def call(
        self,
        method: str,
        path: str,
        body: object | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Return the answer, also one that refuses. Raises OSError when nobody answers.

        Raises RestError when the login is refused.
        """
        if self.token is None:
            self._log_in()
        answer = self._ask(method, path, body, headers)
        # The token has run out.
        if answer.status == http.HTTPStatus.UNAUTHORIZED and self._can_log_in:
            self._log_in()
            answer = self._ask(method, path, body, headers)
        return answer

    def get(self, path: str) -> Any:
        """Return what is there. Raises RestError when the answer is a refusal, OSError."""
        return self.order("GET", path)

    def get_all(self, path: str) -> list[Any]:
        """Return the items of all pages there are. Raises as `get` does."""
        return self.get_first(path, sys.maxsize)

    def get_first(self, path: str, count: int) -> list[Any]:
        """Return so many items, of as many pages as they take. Raises as `get` does."""
        glue = "&" if "?" in path else "?"
        items: list[Any] = []
        cursor = ""
        while len(items) < count:
            limit = min(count - len(items), PAGE_ITEMS_MAX)
            page = self.get(f"{path}{glue}limit={limit}{cursor}")
            items += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        return items

    def order(
        self,
        method: str,
        path: str,
        body: object | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Return the body of a good answer. Raises RestError for any other, OSError."""
        answer = self.call(method, path, body, headers)
        if not answer.is_good:
            raise RestError(_reason(answer))
        return answer.body

    def _log_in(self) -> None:
        credentials = {"name": self._name, "password": self._password}
        self.token = None
        answer = self._ask("POST", "/v1/login", credentials, None)
        if _code(answer) == "mfa_code_needed" and (code := self._ask_code()):
            answer = self._ask("POST", "/v1/login", {**credentials, "code": code}, None)
        if not answer.is_good:
            raise RestError(f"cannot log in as {self._name}: {_reason(answer)}")
        self.token = answer.body["access_token"]
        self.refresh_token = answer.body["refresh_token"]

    def _ask(
        self, method: str, path: str, body: object | None, headers: dict[str, str] | None
    ) -> Answer:
        request = urllib.request.Request(f"{self._url}{path}", method=method, headers=headers or {})
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, ANSWER_WAIT_S) as response:
                return _read(response.status, response.read(), dict(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return _read(error.code, error.read(), dict(error.headers))


def _read(status: int, data: bytes, headers: dict[str, str]) -> Answer:
    try:
        body = json.loads(data) if data else None
    except ValueError:
        raise RestError(f"status {status} and no JSON: is this the admin API?") from None
    return Answer(status, body, {key.lower(): value for key, value in headers.items()})


def _code(answer: Answer) -> object:
    return answer.body.get("code") if isinstance(answer.body, dict) else None


def _reason(answer: Answer) -> str:
    if isinstance(answer.body, dict) and "detail" in answer.body:
        return str(answer.body["detail"]).removeprefix("body.")
    return f"status {answer.status}"
