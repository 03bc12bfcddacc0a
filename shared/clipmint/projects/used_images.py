"""Keeps uploaded images that a job uses: see `clipmint.projects.unused_images`."""

from __future__ import annotations

from collections.abc import Iterable

from pynamodb.exceptions import UpdateError

from clipmint import aws
from clipmint.media import upload_urls
from clipmint.projects import project_writes as writes
from clipmint.projects.project_items import ProjectItem, project_sk


def keep(user_id: str, urls: Iterable[str], *, except_project: str | None) -> bool:
    """Keep the uploads that a job is about to send to a provider. Repeated calls change nothing.

    Parameters
    ----------
    urls
        Of uploads of this user, or any other URLs, which are ignored.
    except_project
        A project that the job's order has changed, so that its images are kept already.

    Returns
    -------
    bool
        False if one of the images is being deleted, or was.
    """
    keys = filter(None, map(upload_urls.upload_key_in, urls))
    named = filter(None, (upload_urls.own_upload(user_id, key) for key in keys))
    for project_id in sorted({upload.project_id for upload in named} - {except_project}):
        try:
            ProjectItem(user_id, project_sk(project_id)).update(
                writes.no_expiry(), condition=writes.EXISTS
            )
        except UpdateError as error:
            if not aws.condition_failed(error):
                raise
            return False
    return True
