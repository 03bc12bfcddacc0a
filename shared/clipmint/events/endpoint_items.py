"""The items of the Endpoints table: endpoints, their secrets, and deliveries.

An endpoint and its secret are two items, so that a function can be allowed to read the one without
the other: conditions of IAM know the first key only. All endpoints have one first key, and are
read with one query.
"""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.models import Model

from clipmint.tables import FromEnvironment, TableMeta

ENDPOINTS = "ENDPOINTS"
SECRETS = "SECRETS"


class EndpointItem(Model):
    """An endpoint; ``sk`` is its id."""

    class Meta(TableMeta):
        table_name = FromEnvironment("ENDPOINTS_TABLE")

    group = UnicodeAttribute(hash_key=True, default=ENDPOINTS)
    sk = UnicodeAttribute(range_key=True)
    url = UnicodeAttribute()
    types: ListAttribute[Any] = ListAttribute()
    description = UnicodeAttribute(null=True)
    enabled = BooleanAttribute()
    disabled_reason = UnicodeAttribute(null=True)
    failing_since = UnicodeAttribute(null=True)
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()


class SecretItem(Model):
    """The secret of an endpoint; ``sk`` is the endpoint's id. The two before sign, too, each until
    its time (epoch seconds)."""

    class Meta(TableMeta):
        table_name = FromEnvironment("ENDPOINTS_TABLE")

    group = UnicodeAttribute(hash_key=True, default=SECRETS)
    sk = UnicodeAttribute(range_key=True)
    secret = UnicodeAttribute()
    previous = UnicodeAttribute(null=True)
    previous_until = NumberAttribute(null=True)
    earlier = UnicodeAttribute(null=True)
    earlier_until = NumberAttribute(null=True)


class DeliveryItem(Model):
    """One event for one endpoint. ``group`` is the endpoint's id, ``sk`` the delivery's, which
    begins with the event's time. ``round`` counts from 0 how often it was delivered again by hand,
    and ``attempt`` is the number of the next attempt of this round. ``expires_at`` is for the TTL.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("ENDPOINTS_TABLE")

    group = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    event_id = UnicodeAttribute()
    type = UnicodeAttribute()
    body = UnicodeAttribute()
    status = UnicodeAttribute()
    round = NumberAttribute()
    attempt = NumberAttribute()
    attempts: ListAttribute[Any] = ListAttribute()
    created_at = UnicodeAttribute()
    expires_at = NumberAttribute()
