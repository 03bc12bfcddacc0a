"""Identical orders: the last job for what a user orders, for models that allow it.

One item per user and content, in the table whose items expire, names the job that makes it. It is
written in the transaction that records the job. So of two simultaneous orders one is the source of
the other.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from botocore.exceptions import ClientError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model as TableModel

from clipmint import aws, clock
from clipmint.catalog.model import Model, Settings
from clipmint.credits import holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.media import uploads
from clipmint.settings import VideoSettings
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.values import frozen

MOST_COPIES = 100
"""Jobs that one source answers: their ids are on its item, whose size is limited."""

REMAINING = timedelta(days=1)
"""For this long, at least, a file must still be kept when it answers an order."""


class IdenticalItem(TableModel):
    """The job that makes a content for a user."""

    class Meta(TableMeta):
        table_name = FromEnvironment("IDEMPOTENCY_TABLE")

    id = UnicodeAttribute(hash_key=True)
    job_id = UnicodeAttribute()
    expiration = NumberAttribute()


@frozen
class Identical:
    """What was found for an order. ``source`` is the job whose file answers it; None if there is
    none. ``seen`` is the job that the item names, also if it cannot answer the order."""

    item_id: str
    days: int
    source: Job | None = None
    seen: str | None = None

    def record(self, job_id: str) -> holds.AlsoWrite:
        """Write, with a new job, that it makes this content. Refused if another order was first."""
        until = clock.now() + timedelta(days=self.days)
        item = IdenticalItem(self.item_id, job_id=job_id, expiration=clock.epoch(until))
        unchanged = (
            IdenticalItem.id.does_not_exist()
            if self.seen is None
            else IdenticalItem.job_id == self.seen
        )
        return holds.AlsoWrite(puts=((item, unchanged),))


def find(
    user_id: str, model: Model, prompt: str, settings: Settings, images: list[str]
) -> Identical | None:
    """The identical job of this user, if the model allows that one answers the other.

    None also if an image is not an upload of ours: then its content is not known.
    """
    if model.identical is None:
        return None
    contents = [_content_of(url) for url in images]
    if None in contents:
        return None
    content = [
        model.model_id,
        [route.model_dump(mode="json") for route in model.routes],
        prompt,
        settings.stated(),
        contents,
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    # The length makes the pair unambiguous.
    item_id = f"identical#{len(user_id)}:{user_id}#{digest}"
    try:
        seen = IdenticalItem.get(item_id, consistent_read=True).job_id
    except DoesNotExist:
        return Identical(item_id, model.identical.days)
    source = job_store.get(seen)
    usable = source is not None and _is_usable(source, model.identical.days)
    return Identical(item_id, model.identical.days, source if usable else None, seen)


def _is_usable(source: Job, days: int) -> bool:
    age = clock.now() - source.created_at
    if source.deleted or age > timedelta(days=days) or len(source.shared_with) >= MOST_COPIES:
        return False
    # S3 deletes the file so many days after it was stored, which is after the order.
    kept_days = VideoSettings.read().video_retention_days
    if kept_days and age >= timedelta(days=kept_days) - REMAINING:
        return False
    return not source.is_terminal or source.status is JobStatus.COMPLETED


def _content_of(url: str) -> str | None:
    """What identifies the content of an upload of ours; None for another URL."""
    named = uploads.location_of(url)
    if named is None:
        return None
    bucket, key = named
    try:
        return str(aws.s3().head_object(Bucket=bucket, Key=key)["ETag"])
    except ClientError:
        return None  # it was deleted meanwhile; the order itself reports it
