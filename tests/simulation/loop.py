"""An event loop whose clock jumps to the next timer, and processes that can be killed in it.

All simulated processes share the loop. A callback belongs to the process in whose context it was
scheduled; once that process is dead its callbacks never run again, not even to tidy up.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple
from weakref import WeakSet

PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)
STEPS_MAX: Final = 2_000_000

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ProcessKilledError(BaseException):
    """Unwinds the stack of a process that has died in the middle of a call."""


class StandstillError(Exception):
    """Nothing is left that could ever happen, or the simulation goes on for ever."""


class Process:
    """A simulated process. What it started dies with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.on_death: list[Callable[[], None]] = []
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()

    def context(self) -> Context:
        """Return a context whose callbacks belong to this process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of this process."""
        if not self.is_alive:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work, context=self.context())
        task.add_done_callback(_raise_fault, context=Context())

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function as this process. It may die of it."""
        if PROCESS.get() is self:
            function(*args)
        elif self.is_alive:
            with suppress(ProcessKilledError):
                self.context().run(function, *args)

    def kill(self) -> None:
        """End the process here and now. Nothing of it runs any more."""
        if not self.is_alive:
            return
        self.is_alive = False
        for task in self.tasks:
            # It stays suspended for ever: that is what being killed means.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == (
                inspect.CORO_CREATED
            ):
                coroutine.close()
        for hook in self.on_death:
            hook()


def _raise_fault(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    fault = task.exception()
    if fault is not None and not isinstance(fault, ProcessKilledError):
        raise fault


def _run_if_alive(process: Process, callback: Callable[[*Ts], object], *args: *Ts) -> None:
    if process.is_alive:
        callback(*args)


class _Selector:
    """Instead of waiting for anything it moves the clock."""

    def __init__(self, loop: "SimLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StandstillError("nothing is left that could ever happen")
        self._loop.now_s += timeout
        self._loop.step_count += 1
        if self._loop.step_count > STEPS_MAX:
            raise StandstillError("the simulation goes on for ever")
        return []


class SimLoop(asyncio.BaseEventLoop):
    """Simulated time, from 0. Worker threads are calls that take a little while."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.now_s = 0.0
        self.step_count = 0
        self.faults: list[BaseException] = []
        self._random = random
        self._selector = _Selector(self)
        self._clock_resolution = 1e-9
        self.set_exception_handler(self._note_fault)

    def time(self) -> float:
        """Return the simulated time in seconds."""
        return self.now_s

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback of the process in whose context it is to run."""
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(_run_if_alive, process, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a callback of the process in whose context it is to run."""
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, _run_if_alive, process, callback, *args, context=context)

    def create_task(self, coro: Any, *, name: Any = None, context: Context | None = None) -> Any:
        """Schedule a coroutine of the process in whose context it is to run."""
        task = super().create_task(coro, name=name, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.add(task)
        return task

    def run_in_executor(
        self, executor: object, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Call the function after a while, as if a worker thread had done it meanwhile."""
        del executor
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as fault:
                future.set_exception(fault)

        self.call_later(self._random.choice((0.0, 0.0005, 0.02)), work)
        return future

    def after(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Schedule a callback that belongs to no process."""
        self.call_later(delay_s, callback, *args, context=Context())

    def _note_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        fault = context.get("exception")
        if not isinstance(fault, ProcessKilledError):
            self.faults.append(fault or AssertionError(str(context.get("message"))))
            self.stop()

    def _process_events(self, event_list: list[Any]) -> None:
        del event_list

    def _write_to_self(self) -> None:
        pass
