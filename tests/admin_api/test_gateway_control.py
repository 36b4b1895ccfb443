"""The control sockets of gateways, here of small servers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from admin_api.gateway_control import GatewayControl, Reached

Writer = asyncio.StreamWriter
Behaviour = Callable[[dict[str, Any], Writer], Awaitable[None]]


def answering(answer: object) -> Behaviour:
    async def behave(_question: dict[str, Any], writer: Writer) -> None:
        writer.write(json.dumps(answer).encode() + b"\n")

    return behave


async def hang_up(_question: dict[str, Any], _writer: Writer) -> None:
    pass


async def say_nothing(_question: dict[str, Any], _writer: Writer) -> None:
    await asyncio.sleep(600)


async def babble(_question: dict[str, Any], writer: Writer) -> None:
    writer.write(b"hello\n")


@contextlib.asynccontextmanager
async def gateways(directory: Path, *behaviours: Behaviour) -> AsyncIterator[list[dict[str, Any]]]:
    """Serve as gateway-0 and so on, and lend the list of the questions asked."""
    asked: list[dict[str, Any]] = []
    servers = []
    for number, behaviour in enumerate(behaviours):

        async def serve(
            reader: asyncio.StreamReader, writer: Writer, behave: Behaviour = behaviour
        ) -> None:
            question = json.loads(await reader.readline())
            asked.append(question)
            with contextlib.suppress(asyncio.CancelledError):
                await behave(question, writer)
            writer.close()

        path = str(directory / f"gateway-{number}.sock")
        servers.append(await asyncio.start_unix_server(serve, path))
    yield asked
    for server in servers:
        server.close()


def ask(
    tmp_path: Path,
    question: Callable[[GatewayControl], Awaitable[Reached]],
    *behaviours: Behaviour,
) -> tuple[Reached, list[dict[str, Any]]]:
    async def scenario() -> tuple[Reached, list[dict[str, Any]]]:
        async with gateways(tmp_path, *behaviours) as asked:
            reached = await question(GatewayControl(tmp_path, answer_wait_s=0.5))
            return reached, asked

    return asyncio.run(scenario())


def test_every_gateway_is_asked(tmp_path: Path) -> None:
    """Each gets the question once, and each answer is told."""
    good = answering({"ok": True})
    assert ask(tmp_path, GatewayControl.refresh, good, good) == (
        Reached({"gateway-0": {"ok": True}, "gateway-1": {"ok": True}}, {}),
        [{"do": "refresh"}] * 2,
    )


def test_client_is_logged_out_wherever_it_is(tmp_path: Path) -> None:
    """The question bears the session and the text."""
    reached, asked = ask(
        tmp_path,
        lambda control: control.log_out(5, "bye"),
        answering({"ok": True, "found": False}),
        answering({"ok": True, "found": True}),
    )
    assert [answer["found"] for answer in reached.answers.values()] == [False, True]
    assert asked == [{"do": "log_out", "session_id": 5, "text": "bye"}] * 2


def test_status_of_many_sessions_is_one_line(tmp_path: Path) -> None:
    """However long it is."""
    sessions = [{"session_id": number, "peer": "x" * 100} for number in range(5000)]
    answer = {"ok": True, "worker": 0, "sessions": sessions}
    reached, _ = ask(tmp_path, GatewayControl.status, answering(answer))
    assert reached == Reached({"gateway-0": answer}, {})


def test_whoever_does_not_do_it_is_named(tmp_path: Path) -> None:
    """With the reason; the others have done it all the same, and nobody waits for ever."""
    reached, _ = ask(
        tmp_path,
        GatewayControl.refresh,
        answering({"ok": False, "error": "the database is away"}),
        hang_up,
        say_nothing,
        babble,
        answering([]),
        answering({"ok": True}),
    )
    assert list(reached.answers) == ["gateway-5"]
    assert reached.failures["gateway-0"] == "the database is away"
    assert reached.failures["gateway-1"] == "hung up without an answer"
    assert reached.failures["gateway-2"] == "did not answer within 0.5 s"
    assert reached.failures["gateway-3"].startswith("JSONDecodeError")
    assert reached.failures["gateway-4"] == "gave an answer that is not an object"


def test_dead_gateway_is_passed_over(tmp_path: Path) -> None:
    """Its socket may still be there; nobody listens on it."""

    async def scenario() -> Reached:
        async with gateways(tmp_path, answering({"ok": True})):
            pass
        dead = tmp_path / "gateway-7.sock"
        async with gateways(tmp_path, answering({"ok": True})):
            (tmp_path / "gateway-0.sock").rename(dead)
        assert dead.exists()
        return await GatewayControl(tmp_path).refresh()

    assert asyncio.run(scenario()) == Reached({}, {})


def test_nobody_there_is_no_failure(tmp_path: Path) -> None:
    """A gateway that starts later reads the database itself."""
    assert asyncio.run(GatewayControl(tmp_path).refresh()) == Reached({}, {})
