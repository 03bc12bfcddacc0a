"""How each provider is doing, for the owner, from what is recorded already."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from clipmint import clock
from clipmint.api.operator_responses import ProviderAnswerSeen, ProviderList, ProviderState
from clipmint.api.timestamps import from_epoch
from clipmint.catalog import model_store
from clipmint.jobs import job_search
from clipmint.jobs.job import Job
from clipmint.jobs.outcomes import PROVIDERS_FAULT, Failed
from clipmint.providers import registry

JOBS_SEEN = 100
"""Recent jobs whose answers are counted."""

SEEN_FOR = timedelta(days=7)

SHOWN = 5
"""Answers, and errors, that are shown of each provider."""

_FAULTS = frozenset(code.value for code in PROVIDERS_FAULT) | {"BUSY"}


def provider_states() -> ProviderList:
    """All providers, whether or not the owner has a key.

    Raises `TemporarilyUnavailable` if the recent jobs cannot be read.
    """
    # Only this route needs it, and it imports boto3.
    from clipmint.providers import circuit  # noqa: PLC0415

    since = clock.now() - SEEN_FOR
    recent = job_search.find(job_search.Search(since=since), limit=JOBS_SEEN, cursor=None).jobs
    seen = [one for job in recent for one in _answers(job)]
    with_keys, models = model_store.providers_with_keys(), model_store.all_models()
    states = []
    for name in sorted(registry.NAMES):
        now = circuit.state_of(name)
        own = sorted((one for by, one in seen if by == name), key=lambda one: one.at, reverse=True)
        errors = [one for one in own if one.result in _FAULTS]
        states.append(
            ProviderState(
                provider=name,
                key_present=None if with_keys is None else name in with_keys,
                circuit=now.state.value.lower(),
                circuit_opened_at=from_epoch(now.opened_at) if now.opened_at else None,
                models=[
                    model.model_id
                    for model in models
                    if any(route.provider == name for route in model.routes)
                ],
                answers=len(own),
                errors=len(errors),
                last_answers=own[:SHOWN],
                last_errors=errors[:SHOWN],
            )
        )
    return ProviderList(providers=states, jobs_seen=len(recent))


def _answers(job: Job) -> Iterator[tuple[str, ProviderAnswerSeen]]:
    """The answers of providers that are recorded on a job, each with the provider's name."""
    changed = clock.iso(job.completed_at or job.updated_at)
    for stage in job.stages:
        for refused in stage.refusals:
            yield (
                refused.provider,
                ProviderAnswerSeen(
                    job_id=job.job_id,
                    stage=stage.name,
                    result=refused.reason,
                    at=clock.iso(refused.at),
                ),
            )
        runs = [(one.provider, one.outcome) for one in stage.earlier]
        for provider, outcome in [*runs, (stage.provider, stage.outcome)]:
            if outcome is not None:
                result = outcome.code.value if isinstance(outcome, Failed) else "succeeded"
                yield (
                    provider,
                    ProviderAnswerSeen(
                        job_id=job.job_id, stage=stage.name, result=result, at=changed
                    ),
                )
