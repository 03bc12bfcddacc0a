"""Threads that take turns at every call they make, in an order drawn from a seed.

In production, the calls to AWS and to providers race. What happens between two calls is not visible
to other processes. So a thread here runs until it is about to make a call; then another thread,
drawn at random, may continue. One runs at a time, which makes every interleaving possible and
repeatable.

What Powertools keeps per process (one per worker, on Lambda) is kept per thread.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

Condition = Callable[[], bool]

PATIENCE_SECONDS = 120
"""The most seconds for a thread to reach its next call. A thread that takes longer hangs."""

IMPATIENCE = 0.04
"""The probability that a waiting actor stops waiting, each time a turn is given."""


class Killed(BaseException):
    """The end of a thread that another thread has stopped. Nothing may catch it."""


class Kept(NamedTuple):
    """What Powertools stores about the call it is answering: in its classes, and in each router."""

    event: Any
    context: Any
    routes: tuple[dict[str, Any], ...]


@dataclass(eq=False)
class Actor:
    """An actor: a thread that does something."""

    name: str
    action: Callable[[], Any]
    waits_for: Condition | None = None
    timed_out: bool = False
    doomed: bool = False
    ended: bool = False
    error: BaseException | None = None
    may_go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    thread: threading.Thread | None = None


class Turns:
    """One round: begin some actors, then `run` until the last one has ended.

    ``routers`` are those that the actors share.
    """

    def __init__(self, seed: str, routers: Sequence[BaseRouter] = ()) -> None:
        self._routers = routers
        self.random = random.Random(seed)
        self.actors: list[Actor] = []
        self.log: list[str] = []
        self._back = threading.Semaphore(0)
        self._local = threading.local()

    def begin(self, name: str, action: Callable[[], Any]) -> Actor:
        """Begin an actor; it does not run before it gets a turn."""
        actor = Actor(name, action)
        actor.thread = threading.Thread(target=self._play, args=(actor,), daemon=True, name=name)
        self.actors.append(actor)
        actor.thread.start()
        return actor

    def run(self) -> None:
        """Give turns until all actors have ended. Raises what an actor raised."""
        while living := [actor for actor in self.actors if not actor.ended]:
            ready = [
                actor
                for actor in living
                if actor.doomed
                or actor.waits_for is None
                or actor.waits_for()
                or self.random.random() < IMPATIENCE
            ]
            actor = self.random.choice(ready or living)
            actor.timed_out = actor.waits_for is not None and not actor.waits_for()
            actor.may_go.release()
            if not self._back.acquire(timeout=PATIENCE_SECONDS):
                raise TimeoutError(f"{actor.name} hangs")
            if actor.error is not None:
                raise actor.error

    def pause(self, until: Condition | None = None) -> bool:
        """Let others go first. False if ``until`` did not come true. Does nothing for threads that
        are no actors.
        """
        actor: Actor | None = getattr(self._local, "actor", None)
        if actor is None:
            return True
        actor.waits_for = until
        kept = self._keep()
        self._back.release()
        actor.may_go.acquire()
        self._restore(kept)
        if actor.doomed:
            raise Killed
        return not actor.timed_out

    def _keep(self) -> Kept:
        routes = tuple(dict(router.context) for router in self._routers)
        return Kept(BaseRouter.current_event, BaseRouter.lambda_context, routes)

    def _restore(self, kept: Kept) -> None:
        BaseRouter.current_event, BaseRouter.lambda_context = kept.event, kept.context
        for router, route in zip(self._routers, kept.routes, strict=True):
            router.context.clear()
            router.context.update(route)

    def note(self, what: str) -> None:
        """Record that the actor is about to do something."""
        actor: Actor | None = getattr(self._local, "actor", None)
        if actor is not None:
            self.log.append(f"{actor.name}: {what}")

    def linger(self, most: int) -> None:
        """Let others go first, up to so many times."""
        for _ in range(self.random.randrange(most + 1)):
            self.pause()

    def _play(self, actor: Actor) -> None:
        self._local.actor = actor
        actor.may_go.acquire()
        self._restore(Kept(None, None, tuple({} for _ in self._routers)))
        try:
            if not actor.doomed:
                actor.action()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  (it is raised where the round is run)
            actor.error = error
        actor.ended = True
        self._back.release()
