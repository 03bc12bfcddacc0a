"""Fetching a finished file again, when the owner asks for it.

It is one more attempt of Migrate beside those of the execution. Attempts may run at the same time:
each writes under keys of its own, and the job records the first asset. The execution's next attempt
finds it and continues.
"""

from __future__ import annotations

import json
import os
from typing import Literal

from clipmint import aws
from clipmint.errors import NothingToFetch
from clipmint.jobs.job import Job
from clipmint.jobs.outcomes import Succeeded


def fetch_again(job: Job) -> Literal["started", "stored"]:
    """Start another attempt to copy the file of a job's current stage.

    Returns
    -------
    str
        ``stored`` if the job has all its files: its execution settles it.

    Raises
    ------
    NothingToFetch
        The job has ended, its provider has not finished, or the file is the image of a video.
    """
    stage = job.current_stage
    if not job.is_terminal and stage is None:
        return "stored"
    if job.is_terminal or stage is None or not isinstance(stage.outcome, Succeeded):
        raise NothingToFetch(
            "There is no file to fetch",
            details="The job has ended, or its provider has not finished",
        )
    if stage is not job.stages[-1]:
        # The deadline of the video begins when its image is stored. The execution must be ready to
        # send the video then, and it may wait a quarter of an hour for its own next attempt.
        raise NothingToFetch(
            "The image is fetched by the execution of its job",
            details="The next attempt follows within 15 minutes",
        )
    aws.functions().invoke(
        FunctionName=os.environ["MIGRATE_FUNCTION"],
        InvocationType="Event",
        Payload=json.dumps({"job_id": job.job_id, "stage": stage.name}),
    )
    return "started"
