"""What Clipmint must answer, derived from the promises alone: integers, sets and a few flags.

Credits are counted one by one (`tests.support.single_credits`).

This shares no code with the product. Each function here is one thing that can happen. It changes
the model and returns the required response: an HTTP status or the name of an error, and its values.
`tests.proof.stateful` does the same with the real code and compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.support.single_credits import Credit, Credits

OPEN_JOBS, JOBS_PER_HOUR = 3, 6
"""The limits of the test, low enough to be reached."""

HOUR = 3_600
LEAST_TO_SEND = 30
GRACE = 120
MIGRATION_WINDOW = 24 * HOUR
DEADLINE = 600

GIVEN_UP = frozenset({"DEADLINE_EXCEEDED", "INTERNAL", "CANCELLED"})
"""Outcomes that we decide, while the provider may continue."""

Answer = tuple[object, ...]


@dataclass
class Job:
    """One job as it must be.

    ``sent``: ``no`` (nothing was sent, or no provider had room for it), ``yes``, ``lost``
    (accepted, but we never received its id), or ``refused`` for good. ``outcome``: the result as we
    know it: ``ok``, or the failure. ``there``: the state at the provider: ``queued``, ``running``,
    ``ok``, ``bad`` or ``withdrawn``. ``orphaned``: it had begun or was made when the job was given
    up, or was made afterwards, and this was reported to the owner.
    """

    user: str
    key: str
    price: int
    body: str
    created: int
    balance_after: int
    deadline: int
    status: str = "pending"
    sent: str = "no"
    attempted: bool = False
    there: str = ""
    outcome: str = ""
    stored: bool = False
    orphaned: bool = False
    deleted: bool = False

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "failed", "cancelled"}


@dataclass
class Account:
    """A user's credits, and how many lines their journal has."""

    credits: Credits = field(default_factory=Credits)
    lines: int = 0
    open: int = 0
    hour: int = 0
    started: int = 0


@dataclass
class Model:
    """The credits and jobs of all users, and the current time (epoch seconds)."""

    now: int
    accounts: dict[str, Account] = field(default_factory=dict)
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    used: dict[tuple[str, str], tuple[tuple[object, ...], Answer]] = field(default_factory=dict)
    """What each reference of a grant, refund or correction was for, and its first answer."""

    def account(self, user: str) -> Account:
        return self.accounts.setdefault(user, Account())

    # ── Money in ─────────────────────────────────────────────────────────────────────────────────

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def grant(
        self, user: str, credits_: int, reference: str, kind: str, ends: datetime | None
    ) -> Answer:
        """``(200, available, whether it was granted before)`` or a refusal."""
        purpose = (user, credits_, kind, ends)
        if kind == "purchased" and ends:
            return (400,)
        if (before := self._before("grant", reference, purpose)) is not None:
            return before
        if ends and ends <= self.time:
            return (400,)
        account = self.account(user)
        self.expire(account)
        account.credits.grant(self.time, credits_, Credit(kind, ends))
        account.lines += 1
        return self._first("grant", reference, purpose, (200, account.credits.available))

    def take_back(self, user: str, credits_: int, reference: str, kind: str) -> Answer:
        """A refund: ``(200, available, debt, whether it was taken back before)``, or a refusal."""
        purpose = (user, credits_, kind)
        if (before := self._before("clawback", reference, purpose)) is not None:
            return before
        account = self.account(user)
        self.expire(account)
        account.credits.take_back(self.time, credits_, kind)
        account.lines += 1
        answer = (200, account.credits.available, account.credits.debt)
        return self._first("clawback", reference, purpose, answer)

    def correct(self, user: str, credits_: int, reference: str) -> Answer:
        """A correction by hand, up or down: answered as a refund is."""
        if (before := self._before("adjust", reference, (user, credits_))) is not None:
            return before
        account = self.account(user)
        self.expire(account)
        if credits_ > 0:
            account.credits.grant(self.time, credits_)
        else:
            account.credits.take_back(self.time, -credits_, None)
        account.lines += 1
        answer = (200, account.credits.available, account.credits.debt)
        return self._first("adjust", reference, (user, credits_), answer)

    def _before(self, what: str, reference: str, purpose: tuple[object, ...]) -> Answer | None:
        if (what, reference) not in self.used:
            return None
        first, answer = self.used[what, reference]
        return (*answer, True) if first == purpose else (409,)

    def _first(
        self, what: str, reference: str, purpose: tuple[object, ...], answer: Answer
    ) -> Answer:
        self.used[what, reference] = purpose, answer
        return (*answer, False)

    def expire(self, account: Account) -> None:
        """What has ended becomes one line of the journal, with the next change."""
        account.lines += account.credits.expire(self.time)

    # ── What users do ────────────────────────────────────────────────────────────────────────────

    def generate(self, user: str, key: str, body: str, price: int) -> Answer:
        """``(202, credits used, credits remaining, replayed)`` or a refusal."""
        job = self.jobs.get((user, key))
        if job is not None:
            return (202, job.price, job.balance_after, True) if job.body == body else (422,)
        account = self.account(user)
        if not account.credits.can_hold(self.time, price):
            return (402,)
        started = account.started if account.hour == self.now // HOUR else 0
        if started >= JOBS_PER_HOUR or account.open >= OPEN_JOBS:
            return (429,)
        self.expire(account)
        account.credits.hold(self.time, (user, key), price)
        account.lines += 1
        account.open += 1
        account.hour, account.started = self.now // HOUR, started + 1
        left, deadline = account.credits.available, self.now + DEADLINE
        self.jobs[user, key] = Job(user, key, price, body, self.now, left, deadline)
        return (202, price, left, False)

    def cancel(self, job: Job, caller: str) -> Answer:
        """``(200, credits released)`` or a refusal."""
        if caller != job.user or job.deleted:
            return (404,)
        if not job.ended:
            if job.sent == "yes" and not job.outcome and job.there == "queued":
                job.there, job.outcome = "withdrawn", "CANCELLED"
            if not job.stored and (job.sent == "no" or job.outcome == "CANCELLED"):
                self._end(job, "cancelled")
        return (200, job.price) if job.status == "cancelled" else (409,)

    def delete(self, job: Job, caller: str) -> Answer:
        if caller != job.user:
            return (404,)
        if not job.ended:
            return (409,)
        job.deleted = True
        return (204,)

    def look(self, job: Job, caller: str) -> Answer:
        """``(200, status, credits used)`` or a refusal."""
        if caller != job.user or job.deleted:
            return (404,)
        return (200, job.status, job.price if not job.ended or job.status == "completed" else 0)

    # ── What the state machine does ──────────────────────────────────────────────────────────────

    def submit(self, job: Job, reply: str) -> Answer:
        """The provider's reply, if it is asked: ``accepts``, ``busy``, ``refuses`` (the content),
        or ``lost`` (it accepts, but its response and webhook never arrive).
        """
        if job.ended or job.stored:
            return ("JobFinished",)
        if job.outcome not in {"", "ok"}:
            return ("SubmissionRejected",)
        if job.sent != "no":
            return ("video",)
        if job.deadline - self.now < LEAST_TO_SEND:
            return ("DeadlineExceeded",)
        job.status, job.attempted = "processing", True
        if reply in {"accepts", "lost"}:
            job.sent, job.there = {"accepts": "yes", "lost": "lost"}[reply], "queued"
        if reply == "refuses":
            job.sent, job.outcome = "refused", "CONTENT_POLICY"
        return ({"busy": "ProviderBusy", "refuses": "SubmissionRejected"}.get(reply, "video"),)

    def track(self, job: Job, turn: int) -> Answer:
        """Whether the execution is woken."""
        if job.ended:
            return ("JobFinished",)
        if not job.outcome:
            late = self.now >= job.deadline
            if job.sent == "yes" and (turn > 0 or late) and job.there in {"ok", "bad"}:
                self._learn(job)
            elif late and job.attempted:
                job.outcome = "SUBMIT_UNKNOWN" if job.sent == "lost" else "DEADLINE_EXCEEDED"
        self._leave(job)
        return (bool(job.outcome),)

    def migrate(self, job: Job) -> Answer:
        if job.ended or (not job.stored and job.outcome != "ok"):
            return ("JobFinished",)
        job.stored = True
        return (False,)

    def settle(self, job: Job) -> Answer:
        if not job.ended:
            self._end(job, self._verdict(job))
        return (job.status,)

    def execution_ended(self, job: Job) -> Answer:
        self._give_up(job, "INTERNAL")
        return (1,)

    def sweep(self) -> Answer:
        """``(settled, started)``."""
        settled = started = 0
        for job in self.jobs.values():
            if job.ended:
                continue
            storing = job.outcome == "ok" and not job.stored
            overdue_at = job.deadline + (MIGRATION_WINDOW if storing else 0)
            if job.deadline < self.now - GRACE and overdue_at < self.now:
                self._give_up(job, "DEADLINE_EXCEEDED")
                settled += 1
            elif job.status == "pending" and job.created + GRACE < self.now:
                started += 1
        return (settled, started)

    # ── What the provider does ───────────────────────────────────────────────────────────────────

    def advance(self, job: Job, *, succeeds: bool) -> None:
        """The provider continues its work."""
        if job.there == "queued":
            job.there = "running"
        elif job.there == "running":
            job.there = "ok" if succeeds else "bad"

    def webhook(self, job: Job, forgery: str) -> Answer:
        """``(200, its result)`` or a refusal. Called once the provider has finished."""
        if forgery == "token" or not job.attempted:
            return (404,)
        if forgery:
            return (401,)
        if job.there not in {"ok", "bad"}:
            raise ValueError("nothing to tell of")
        if job.ended or job.outcome:
            made = job.there == "ok"
            if job.outcome and (job.outcome == "ok") == made:
                return (200, "duplicate")
            if made and job.orphaned:
                return (200, "duplicate")
            job.orphaned = job.orphaned or made
            return (200, "late")
        self._learn(job)
        return (200, "accepted")

    def _learn(self, job: Job) -> None:
        job.sent = "yes"
        job.outcome = "ok" if job.there == "ok" else "PROVIDER_ERROR"

    def _give_up(self, job: Job, outcome: str) -> None:
        """The sweep ends a job: its task at the provider is cancelled, or reported to the owner."""
        if job.ended:
            return
        if not job.stored:
            if job.sent == "yes" and not job.outcome:
                job.outcome = outcome
            self._leave(job)
        self._end(job, self._verdict(job))

    def _leave(self, job: Job) -> None:
        """No job uses it any more: it is an orphan, if it was or may still be made."""
        if job.sent != "yes" or job.outcome not in GIVEN_UP:
            return
        if job.there == "queued":
            job.there = "withdrawn"
        job.orphaned = job.orphaned or job.there in {"running", "ok"}

    def _verdict(self, job: Job) -> str:
        if job.stored:
            return "completed"
        return "cancelled" if job.outcome == "CANCELLED" else "failed"

    def _end(self, job: Job, status: str) -> None:
        account = self.account(job.user)
        account.open -= 1
        account.lines += 1
        ended = account.credits.ended
        if status == "completed":
            account.credits.capture((job.user, job.key))
            account.credits.expire(self.time)
        else:
            account.credits.release(self.time, (job.user, job.key))
        # What ended before the job and what it returned too late is one line.
        account.lines += account.credits.ended > ended
        job.status = status
