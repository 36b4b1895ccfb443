"""The terminal of `wcx client`: a line in, a message out, and every message in words."""

import readline
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from fix_gateway.fix.fields import Fields, MsgType, Tag, parse_message
from fix_gateway.tools.client.own_orders import OwnOrders
from fix_gateway.tools.client.requests import HELP, Request, RequestMaker, UsageError
from fix_gateway.tools.initiator import Counterparty, Initiator
from fix_gateway.tools.readable import Reader

LOGON_WAIT_S: Final = 10.0
ANSWER_WAIT_S: Final = 10.0
WAIT_MAX_S: Final = 3600.0
GLANCE_S: Final = 0.05
HIDDEN: Final = frozenset({MsgType.HEARTBEAT, MsgType.TEST_REQUEST})
REFUSALS: Final = frozenset({MsgType.REJECT, MsgType.BUSINESS_MESSAGE_REJECT})
LEAVING: Final = frozenset({"quit", "exit"})


class Screen:
    """Where lines appear, from any thread, without tearing up what is being typed."""

    def __init__(self, output: TextIO, prompt: str, *, is_interactive: bool) -> None:
        self.prompt = prompt
        self._output = output
        self._is_interactive = is_interactive
        self._is_typing = False
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Print a line, above what is being typed."""
        with self._lock:
            if self._is_typing:
                typed = readline.get_line_buffer()
                self._output.write(f"\r\x1b[K{line}\n{self.prompt}{typed}")
            else:
                self._output.write(f"{line}\n")
            self._output.flush()

    def lines(self, source: TextIO) -> Iterator[str]:
        """Yield what is typed, line by line, until there is no more."""
        if not self._is_interactive:
            yield from source
            return
        while True:
            self._is_typing = True
            try:
                line = input(self.prompt)
            except EOFError:
                self.say("")
                return
            finally:
                self._is_typing = False
            yield line


class Console:
    """One client: carries out lines, and shows what comes and goes."""

    def __init__(self, comp_id: str, counterparty: Counterparty, screen: Screen) -> None:
        self._comp_id = comp_id
        self._counterparty = counterparty
        self._screen = screen
        self._reader = Reader()
        self._orders = OwnOrders()
        self._maker = RequestMaker(comp_id, counterparty.begin_string, self._orders)
        self._awaited: Request | None = None
        self._answered = threading.Event()
        self._initiator = Initiator(comp_id, counterparty, on_message=self._show)
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "orders": self._list_orders,
            "wait": self._wait,
            "help": lambda _words: self._screen.say(HELP),
        }

    def run(self, source: TextIO) -> int:
        """Carry out all lines and return the exit code: 0 when each was understood and answered."""
        failures = 0
        if not self._counterparty.is_there():
            self._screen.say(f"nobody listens at {self._counterparty.address}: does the venue run?")
            return 1
        try:
            self._initiator.start()
            if not self._initiator.logged_on.wait(LOGON_WAIT_S):
                self._screen.say(
                    "not logged on: is the session enabled, and is the password right?"
                )
                return 1
            for line in self._screen.lines(source):
                words = self._split(line)
                if words and words[0] in LEAVING:
                    break
                if words is None or (words and not self._carry_out(words[0].lower(), words[1:])):
                    failures += 1
        except KeyboardInterrupt:
            self._screen.say("")
        finally:
            self._initiator.stop()
        return 1 if failures else 0

    def _split(self, line: str) -> list[str] | None:
        """Return the words of a line, None when a quotation in it does not end."""
        try:
            return shlex.split(line, comments=True)
        except ValueError as error:
            self._screen.say(f"{error}: put a quotation mark behind a backslash, or end it")
            return None

    def _carry_out(self, verb: str, words: list[str]) -> bool:
        """Carry out one line. Returns whether it was understood, and answered in time."""
        command = self._commands.get(verb)
        try:
            if command is not None:
                command(words)
                return True
            return self._send(self._maker.make(verb, words))
        except (UsageError, ValueError) as error:
            self._screen.say(str(error))
            return False

    def _send(self, request: Request) -> bool:
        if not self._initiator.logged_on.wait(LOGON_WAIT_S):
            self._screen.say("not logged on: nothing was sent")
            return False
        self._answered.clear()
        self._awaited = request
        self._initiator.send(request.msg_type, request.fields)
        deadline_s = time.monotonic() + ANSWER_WAIT_S
        # In short waits: Ctrl-C is to be noticed.
        while not self._answered.wait(GLANCE_S):
            if time.monotonic() > deadline_s:
                self._screen.say(f"no answer within {ANSWER_WAIT_S:.0f} s")
                return False
        return True

    def _show(self, direction: str, text: str) -> None:
        """Take a message that comes or goes. Called on QuickFIX's thread; must not raise."""
        fields = parse_message(text)
        if fields[Tag.MSG_TYPE] not in HIDDEN:
            self._screen.say(f"{self._comp_id} {direction} {self._reader.describe(text)}")
        if direction == "<":
            self._orders.note(fields)
            self._note_answer(fields)

    def _note_answer(self, fields: Fields) -> None:
        awaited = self._awaited
        if awaited is None or fields[Tag.MSG_TYPE] in HIDDEN:
            return
        is_refusal = (
            fields[Tag.MSG_TYPE] in REFUSALS and fields.get(Tag.REF_MSG_TYPE) == awaited.msg_type
        )
        if is_refusal or awaited.is_answered_by(fields):
            self._awaited = None
            self._answered.set()

    def _list_orders(self, words: list[str]) -> None:
        orders = [order for order in self._orders.all() if words == ["all"] or order.is_open]
        for order in orders:
            self._screen.say(order.describe())
        if not orders:
            self._screen.say("no orders")

    def _wait(self, words: list[str]) -> None:
        try:
            (seconds,) = map(float, words)
        except ValueError:
            raise UsageError("like this: wait SECONDS") from None
        if not 0 <= seconds <= WAIT_MAX_S:
            raise UsageError(f"wait at most {WAIT_MAX_S:.0f} s")
        time.sleep(seconds)


def run_client(comp_id: str, counterparty: Counterparty) -> int:
    """Be a FIX client on the terminal, or for a script on standard input. Returns the exit code."""
    is_interactive = sys.stdin.isatty()
    screen = Screen(sys.stdout, f"{comp_id}> ", is_interactive=is_interactive)
    if is_interactive:
        screen.say(f"{HELP}\n")
    return Console(comp_id, counterparty, screen).run(sys.stdin)
