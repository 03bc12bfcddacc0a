"""Copies one URL in a fresh process and prints how much memory that took; see test_memory.py.

Arguments: URL, host list, bucket, key. Prints JSON: bytes stored, and MiB of peak RSS over idle.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from clipmint.aws import new_s3
from clipmint.media.pinned_requests import new_client
from clipmint.media.transfer import copy_from_url


def peak_mib() -> float:
    """Highest resident set so far; not `getrusage`, which inherits the parent's across exec."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    url, allowed, bucket, key = sys.argv[1:]
    with new_client() as http:
        s3 = new_s3()
        s3.head_bucket(Bucket=bucket)  # idle, but warm: connected, models loaded
        idle = peak_mib()
        stored = copy_from_url(
            url,
            allowed_hosts=allowed.split(","),
            bucket=bucket,
            key=key,
            http=http,
            s3=s3,
            deadline_seconds=300,
        )
    print(json.dumps({"size_bytes": stored.size_bytes, "over_idle_mib": peak_mib() - idle}))


if __name__ == "__main__":
    main()
