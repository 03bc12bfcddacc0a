"""Compatible endpoints: clients of other protocols work with the same orders, jobs and projects.

Each protocol is a module of `clipmint.doors`; the table there lists them.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import http_api
from clipmint.doors import multipart, table

app = http_api.resolver(table.error_body)
app.use([table.reject_closed])
for door in table.DOORS:
    app.include_router(door.router)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(
        app, event, context, error_body=table.error_body, make_json=multipart.make_json
    )
