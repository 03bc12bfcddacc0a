"""Turns a multipart/form-data body into the same JSON object that a JSON client would send.

A field is a text, a file is a data URL, and ``a[b]`` is the member ``b`` of the object ``a``. The
gateway passes such a body on in Base64, and Lambda accepts events of 6 MB: files of about 4.4 MB.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Annotated, Any

from pydantic import StringConstraints

from clipmint.errors import InvalidRequest

FORM = "multipart/form-data"
_NESTED = re.compile(r"(?P<name>[^\[\]]+)\[(?P<member>[^\[\]]+)\]")


DataUrl = Annotated[
    str,
    StringConstraints(
        pattern=(
            r"^data:[a-z]+/[a-z0-9.+-]+;base64,(?:[A-Za-z0-9+/]{4})*"
            r"(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
        )
    ),
]
"""A file in JSON."""


def make_json(event: dict[str, Any]) -> None:
    """Replace the body of an event by JSON, if it is a form. Raises `InvalidRequest`."""
    header = str(event["headers"].get("content-type", ""))
    if header.partition(";")[0].strip().lower() != FORM:
        return
    body = event.get("body") or ""
    try:
        data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("latin-1")
        event["body"] = json.dumps(_object(data, header))
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            "The request body is not a valid form", details=f"body: {error}"
        ) from None
    event["isBase64Encoded"] = False


def _object(data: bytes, header: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _fields(data, _boundary(header)):
        nested = _NESTED.fullmatch(name)
        place = found.setdefault(nested["name"], {}) if nested else found
        key = nested["member"] if nested else name
        if not isinstance(place, dict) or key in place:
            raise ValueError(f"a field twice: {name}")
        place[key] = value
    return found


def _boundary(header: str) -> bytes:
    message = Message()
    message["Content-Type"] = header
    boundary = message.get_boundary()
    if not boundary:
        raise ValueError("no boundary in the header Content-Type")
    return boundary.encode("latin-1", "replace")


def _fields(data: bytes, boundary: bytes) -> Iterator[tuple[str, str]]:
    first, *parts = (b"\r\n" + data).split(b"\r\n--" + boundary)
    if first.strip() or not parts or not parts[-1].startswith(b"--"):
        raise ValueError("it does not begin or end with the boundary")
    for part in parts[:-1]:
        head, separator, content = part.partition(b"\r\n\r\n")
        headers = BytesHeaderParser().parsebytes(head.lstrip(b"\r\n"))
        name = headers.get_param("name", header="content-disposition")
        if not separator or not isinstance(name, str):
            raise ValueError("a part without a name")
        if headers.get_filename() is None:
            yield name, content.decode()
        else:
            encoded = base64.b64encode(content).decode()
            yield name, f"data:{headers.get_content_type()};base64,{encoded}"


def file_in(data_url: str) -> bytes:
    """The content of a `DataUrl`."""
    return base64.b64decode(data_url.partition(",")[2])
