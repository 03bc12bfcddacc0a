"""Examples of the responses of the owner's reads: about one job that failed."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel

from clipmint import clock
from clipmint.api import action_bodies, alarms, credit_responses
from clipmint.api import job_inspection_responses as jobs
from clipmint.api import operator_responses as answers
from clipmint.api.timestamps import from_epoch
from clipmint.jobs.job import JobStatus, Refusal, Stage, Submission, SubmissionState
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.jobs.progress import progress
from clipmint.lots import CreditKind
from docs.openapi_shared import (
    ENDED_AT,
    HOLD,
    MODEL,
    ORDERED_AT,
    PACK,
    WEBHOOK,
    delivery,
    ended_job,
    project,
)

REFUSED_AT = "2026-03-01T09:30:01.000Z"
_VIDEO = Stage(
    name="video",
    routes=tuple(MODEL.routes),
    provider="runway",
    endpoint="veo3.1",
    credits=16,
    poll_seconds=(90,),
    deadline_seconds=1_800,
    refusals=(Refusal("fal", "BUSY", clock.from_iso(REFUSED_AT)),),
    submission=Submission(
        SubmissionState.SENT,
        webhook_token="",
        task_id="0d9a3f5e-7c0b-4d52-9b8e-6f6a1e0c4b22",
        request_id="7e0b9d1a-3c55-4f2e-a6b1-9d8c7f6e5a33",
    ),
    outcome=Failed(FailureCode.PROVIDER_ERROR),
)
_JOB = replace(
    ended_job(JobStatus.FAILED, _VIDEO, clock.epoch(clock.from_iso("2026-03-01T10:00:00.000Z"))),
    failure=FailureCode.PROVIDER_ERROR,
)
_ROW = jobs.JobRow.of(_JOB)
_RELEASE = HOLD.model_copy(
    update={
        "sequence": 3,
        "kind": "release",
        "balance_after": 100,
        "held_after": 0,
        "created_at": ENDED_AT,
    }
)
_SEEN = answers.ProviderAnswerSeen(
    job_id=_JOB.job_id, stage="video", result="PROVIDER_ERROR", at=ENDED_AT
)

_ACTION = action_bodies.AuditedAction(
    action_id=f"{ENDED_AT}_7c6e19f0ceca5b74837b691bfde4c416",
    at=ENDED_AT,
    by="back-office",
    what="POST /v1/admin/jobs/{job_id}/settle",
    about=f"/v1/admin/jobs/{_JOB.job_id}/settle",
    reason="The user asked where the video is",
    details={},
    state="done",
    result="200",
)

RESPONSES: list[BaseModel] = [
    action_bodies.ActionDone(
        job_id=_JOB.job_id, action="settle", result="settled", status=JobStatus.FAILED
    ),
    action_bodies.AuditPage(actions=[_ACTION], next_cursor=None),
    alarms.AlarmList(
        alarms=[
            alarms.Alarm.of(
                "PaidOrphan",
                "metric",
                {
                    "AlarmName": "clipmint-PaidOrphan-1K2J3H4G5F6D",
                    "AlarmDescription": "A provider bills a generation that no job uses. No user"
                    " was charged. Runbook: PaidOrphan",
                    "StateValue": "ALARM",
                    "StateReason": "Threshold Crossed: 1 datapoint [1.0 (01/03/26 09:31:00)] was"
                    " greater than or equal to the threshold (1.0).",
                    "StateTransitionedTimestamp": clock.from_iso(ENDED_AT),
                },
            )
        ]
    ),
    jobs.JobRows(jobs=[_ROW], next_cursor=None),
    jobs.InspectedJob(
        **_ROW.model_dump(),
        current_step=progress(_JOB)[1],
        batch_id=None,
        updated_at=ENDED_AT,
        deadline=from_epoch(_JOB.deadline),
        overdue_at=from_epoch(_JOB.overdue_at),
        order=jobs.JobOrder.of(_JOB),
        stages=[jobs.StageAnswer.of(_JOB, stage) for stage in _JOB.stages],
        orphans=[],
        charge=jobs.JobCharge(held=0, captured=0, released=16, goodwill=0),
        costs=[
            jobs.JobCost(
                stage="video",
                provider="runway",
                request_id="7e0b9d1a-3c55-4f2e-a6b1-9d8c7f6e5a33",
                use="failed",
                micros=None,
                unit=None,
                source=None,
                usd_micros=None,
            )
        ],
        provider_cost_usd_micros=0,
        entries=[HOLD, _RELEASE],
        deliveries=[jobs.JobDelivery(**delivery("video.failed").model_dump(), webhook_id=WEBHOOK)],
        timeline=[
            jobs.TimelineStep(at=ORDERED_AT, what="ordered", detail=_JOB.model_id),
            jobs.TimelineStep(at=ORDERED_AT, what="held", detail="video: 16 credits"),
            jobs.TimelineStep(at=REFUSED_AT, what="refused", detail="video: fal BUSY"),
            jobs.TimelineStep(at=ENDED_AT, what="released", detail="video: 16 credits"),
            jobs.TimelineStep(at=ENDED_AT, what="failed", detail="PROVIDER_ERROR"),
        ],
    ),
    answers.InspectedUser(
        user_id="ada",
        credits=credit_responses.Credits(
            available=84,
            held=16,
            debt=0,
            lots=[
                credit_responses.CreditLot(kind=CreditKind.PURCHASED, credits=84, expires_at=None)
            ],
        ),
        open_holds=[
            answers.OpenHold(
                job_id=_JOB.job_id,
                status=JobStatus.PROCESSING,
                credits=16,
                created_at=ORDERED_AT,
                deadline=from_epoch(_JOB.deadline),
            )
        ],
        counts=answers.UserCounts(open_jobs=1, open_clips=0, jobs_this_hour=1, entries=2),
    ),
    answers.EntryPage(entries=[_RELEASE, HOLD], next_cursor=None),
    answers.ProjectsOfUser(
        projects=[project(None)],
        next_cursor=None,
    ),
    answers.ProviderList(
        providers=[
            answers.ProviderState(
                provider="runway",
                key_present=True,
                circuit="closed",
                circuit_opened_at=None,
                models=[_JOB.model_id],
                answers=1,
                errors=1,
                last_answers=[_SEEN],
                last_errors=[_SEEN],
            )
        ],
        jobs_seen=1,
    ),
    answers.OwnedModels(
        models=[answers.OwnedModelRow(model_id=MODEL.model_id, offered=True, model=MODEL)]
    ),
    answers.OwnedPacks(packs=[answers.OwnedPack(product_id="credits-500", pack=PACK)]),
]
