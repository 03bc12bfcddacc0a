"""How many upload forms a user may get in an hour.

The images are public, and the owner pays for their storage. A form is counted before it is made, in
one conditional write. After a crash in between, a form is counted that was never returned.
"""

from __future__ import annotations

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.models import Model

from clipmint import aws, clock
from clipmint.errors import limit_reached
from clipmint.settings import UploadSettings
from clipmint.tables import FromEnvironment, TableMeta

HOUR = 3_600


class UploadCount(Model):
    """The forms that a user got in one hour, in the table whose items expire."""

    class Meta(TableMeta):
        table_name = FromEnvironment("IDEMPOTENCY_TABLE")

    id = UnicodeAttribute(hash_key=True)
    forms = NumberAttribute()
    expiration = NumberAttribute()


def count_form(user_id: str) -> None:
    """Count one more form of this user. Raises `LimitReached`."""
    limit = UploadSettings.read().max_uploads_per_hour
    hour, passed = divmod(clock.epoch(clock.now()), HOUR)
    try:
        UploadCount(f"uploads#{hour}#{user_id}").update(
            [UploadCount.forms.add(1), UploadCount.expiration.set((hour + 2) * HOUR)],
            condition=UploadCount.forms.does_not_exist() | (UploadCount.forms < limit),
        )
    except UpdateError as error:
        if not aws.condition_failed(error):
            raise
        raise limit_reached(
            "Too many uploads",
            details=f"At most {limit} an hour",
            limit=limit,
            used=limit,
            wait_seconds=HOUR - passed,
        ) from None
