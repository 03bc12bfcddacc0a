"""Everything that may happen to a generation, once each: the columns of the crash matrix.

A scenario consists of what a user does and what goes wrong meanwhile. It states how its jobs end
without a crash. Write a new one for every new way a job can go.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from PIL import Image

from clipmint.catalog.model import Model
from clipmint.credits import ledger
from clipmint.execution.waiting import SUBMIT_SECONDS
from clipmint.projects import project_store
from clipmint.projects.project import Project
from clipmint.projects.project_items import UNUSED, ProjectItem
from clipmint.projects.project_requests import NewProject, NewScene
from clipmint.purchases import pack_store, waiting_purchases
from clipmint.purchases.pack import Pack
from tests.proof.machine import FunctionFailed
from tests.proof.world import EVENT_RETRIES, SCHEDULED, Script, World, earlier_definition
from tests.support import appstore_wire
from tests.support.gateway import Answer
from tests.support.jobs import journal
from tests.support.moto_aws import IMAGES_BUCKET, connect_stores
from tests.support.store_wire import (
    PACK,
    SECRETS,
    Delivery,
    appstore,
    charge,
    checkout,
    dispute,
    intent,
    revenuecat,
)

USER = "ada"
CREDITS = 100
PRICE = 10
TWO_DAYS = 2 * 86_400
LONG_AGO = "2020-01-01T00:00:00.000Z"

FAL = {"queue_seconds": 5, "queue_ahead": 0, "generation_seconds": 10}
RUNWAY = {"pending_seconds": 5, "generation_seconds": 10}
RUNWARE = {"generation_seconds": 10, "image_seconds": 5}
"""About fifteen seconds for a video; all in virtual time."""

ROUTES = {
    "fal": {"provider": "fal", "endpoint": "fal-ai/veo3.1"},
    "runway": {"provider": "runway", "endpoint": "veo3.1"},
    "runware": {"provider": "runware", "endpoint": "google:3@2"},
}


@dataclass(frozen=True)
class Scenario:
    """``ends`` is how the jobs end without a crash, in the order of their requests.

    ``gives_up``: the user sends the request once, and does not wait for a response.
    """

    name: str
    play: Callable[[World], None]
    ends: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"fal": FAL, "runway": RUNWAY, "runware": RUNWARE}
    )
    gives_up: bool = False


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, *ends: str, gives_up: bool = False, **settings: Mapping[str, Any]
) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    """Register a script of a user's actions as a scenario."""

    def register(play: Callable[[World], None]) -> Callable[[World], None]:
        chosen = {"fal": FAL, "runway": RUNWAY, "runware": RUNWARE}
        changed = {key: {**chosen[key], **value} for key, value in settings.items()}
        SCENARIOS[name] = Scenario(name, play, ends, chosen | changed, gives_up)
        return play

    return register


def model(*providers: str, **changes: Any) -> Model:
    """The shortest video, made by the first of these providers that accepts it."""
    sizes: dict[str, Any] = {"resolution": ["720p"], "aspect_ratio": ["16:9"], "duration": [4]}
    if providers[0] == "runway":
        sizes = {"aspect_ratio": ["1280:720"], "duration": [4]}
    described: dict[str, Any] = {
        "model_id": "-".join(providers),
        "name": "A model",
        "allowed": sizes,
        "defaults": {name: values[0] for name, values in sizes.items()},
        "price": {"kind": "fixed", "credits": PRICE},
        "routes": [ROUTES[name] for name in providers],
        "deadline_seconds": 600,
        "poll_seconds": [30, 20] if providers[0] == "runway" else [SUBMIT_SECONDS, 20],
    }
    return Model.model_validate(described | changes)


def order(
    world: World,
    model_id: str,
    *,
    key: str = "the-key-of-one-order",
    prompt: str | None = None,
    **how: Any,
) -> Script:
    """Order a video, and repeat the call until there is a response. Without a ``prompt``, each key
    has its own."""
    body = {"model_id": model_id, "prompt": prompt or f"a fox in the snow, {key}"}

    def ask() -> Any:
        return world.http(
            "generate", "POST", "/v1/videos", user=USER, body=body, headers={"Idempotency-Key": key}
        )

    yield from world.persistently(ask, **how)


def act(world: World, method: str, path: str) -> Script:
    """Cancel or delete every job, and repeat each call until there is a response."""
    for job_id in world.job_ids():

        def ask(job_id: str = job_id) -> Any:
            return world.http("cancel", method, path.format(job_id=job_id), user=USER)

        yield from world.persistently(ask)


CANCEL = ("POST", "/v1/videos/{job_id}/cancel")
DELETE = ("DELETE", "/v1/videos/{job_id}")


def start(world: World, *providers: str, **changes: Any) -> None:
    """One user orders one video of a model of these providers."""
    made = model(*providers, **changes)
    world.offer(made)
    world.grant(USER, CREDITS)
    world.begin(order(world, made.model_id))


def fault(
    name: str,
    end: str,
    provider: str,
    kind: str,
    *others: str,
    armed: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> None:
    """Register an order of one video, at a provider with a fault, as a scenario.

    Parameters
    ----------
    end
        The status with which the job ends.
    others
        Further providers of the model.
    armed
        When the fault happens, and its parameters.
    changes
        Of the model.
    """

    @scenario(name, end)
    def _(world: World) -> None:
        world.network.arm(provider, kind, **armed)
        start(world, provider, *others, **changes)


# ── Events to an endpoint of the owner's ─────────────────────────────────────────────────────────


@scenario("events to an endpoint", "completed")
def _(world: World) -> None:
    world.subscribe()
    start(world, "fal")


@scenario("events, the endpoint fails first", "failed")
def _(world: World) -> None:
    """It responds 500 twice, and gets the event of the job's end in the third attempt."""
    world.subscribe("video.failed", statuses=(500, 500))
    world.network.arm("fal", "runner_error")
    start(world, "fal")


def manage(world: World, script: Callable[[Callable[..., Any]], Script]) -> Script:
    """What the owner does with the webhook; each call is repeated until there is a response."""

    def call(method: str, path: str) -> Generator[float, Any, Answer]:
        def ask() -> Answer:
            owner = {"user": "owner", "scope": "clipmint/admin"}
            return world.http("admin", method, f"/v1/admin/webhooks{path}", **owner)

        return world.persistently(ask)

    yield from script(call)


@scenario("secret rotated, event delivered again")
def _(world: World) -> None:
    """The receiver knows the first secret alone, and gets the event of a grant twice."""
    webhook = world.subscribe("credits.granted")

    def script(call: Callable[..., Any]) -> Script:
        yield from call("POST", f"/{webhook}/rotate")
        answer = yield from call("GET", f"/{webhook}/deliveries")
        [delivery] = answer.body["deliveries"]
        path = f"/{webhook}/deliveries/{delivery['delivery_id']}/redeliver"
        yield from call("POST", path)
        yield 600
        if sum(map(len, world.receiver.received.values())) < 2:
            world.found.append("the event was not delivered again")

    world.grant(USER, CREDITS)
    world.begin(manage(world, script), in_seconds=600)


# ── Each provider, and how we learn of the end ───────────────────────────────────────────────────


@scenario("fal, webhook", "completed")
def _(world: World) -> None:
    start(world, "fal")


# Submit waits in vain, and Track finds the video.
fault("fal, webhook lost", "completed", "fal", "webhook_lost")
SOON = [30, 20]
"""Polls of a model whose jobs do not wait in Submit."""


@scenario("fal, webhook in Track", "completed")
def _(world: World) -> None:
    """Submit hands over a model that is polled soon, and the webhook arrives before the poll."""
    start(world, "fal", poll_seconds=SOON)


fault("fal, polled soon", "completed", "fal", "webhook_lost", poll_seconds=SOON)


@scenario("longer than Submit waits", "completed", fal={"generation_seconds": 200})
def _(world: World) -> None:
    """It takes longer than Submit waits, and the webhook finds Track."""
    start(world, "fal")


@scenario("Runway, polled", "completed")
def _(world: World) -> None:
    start(world, "runway")


@scenario("Runware, webhook", "completed")
def _(world: World) -> None:
    start(world, "runware")


fault("Runware, webhook lost", "completed", "runware", "webhook_lost")
# ── What a provider may do to us ─────────────────────────────────────────────────────────────────


fault("webhook twice", "completed", "fal", "webhook_duplicate")


@scenario("webhook first", "completed", fal={"queue_seconds": 0, "generation_seconds": 0})
def _(world: World) -> None:
    """It arrives before the response to the submission."""
    world.network.arm("fal", "webhook_early")
    start(world, "fal")


fault("generation fails", "failed", "fal", "runner_error")
fault("content refused", "failed", "runware", "moderation")
fault("busy, next route", "completed", "fal", "submit_503", "runware")
fault("fal's answer lost", "completed", "fal", "submit_reset_after")
fault("Runway's answer lost", "failed", "runway", "submit_reset_after")
fault("Runware's answer lost", "completed", "runware", "submit_reset_after")
fault("URL expired", "completed", "fal", "media_expired")
fault(
    "file in parts",
    "completed",
    "fal",
    "media_oversized",
    armed={"times": None, "bytes": 20_000_000},
)
fault("never finished", "failed", "fal", "stuck", deadline_seconds=120, poll_seconds=[30, 60])
fault(
    "never finished at Runway",
    "failed",
    "runway",
    "stuck",
    deadline_seconds=120,
    poll_seconds=[30, 60],
)
# ── What the user may do ─────────────────────────────────────────────────────────────────────────


@scenario("cancelled unsent", "cancelled")
def _(world: World) -> None:
    world.network.arm("fal", "submit_429", times=4)
    start(world, "fal")
    world.begin(act(world, *CANCEL), in_seconds=12)


@scenario("cancelled in the queue", "cancelled", fal={"queue_seconds": 60})
def _(world: World) -> None:
    start(world, "fal")
    world.begin(act(world, *CANCEL), in_seconds=10)


@scenario("cancelled at Runway", "cancelled", runway={"pending_seconds": 60})
def _(world: World) -> None:
    start(world, "runway")
    world.begin(act(world, *CANCEL), in_seconds=10)


# It is charged; the owner's alarm is all that differs.
fault("another video than ordered, kept", "completed", "fal", "media_other", armed={"times": None})
fault(
    "another video than ordered, released",
    "failed",
    "fal",
    "media_other",
    armed={"times": None},
    tolerance={"otherwise": "fail"},
)
# The owner pays for a refused input; the record on the job shows it once.
fault("declined by Runway and billed", "failed", "runway", "moderation")
fault(
    "declined by Runway, billed after the deadline",
    "failed",
    "runway",
    "moderation",
    deadline_seconds=60,
    poll_seconds=[30, 60],
)


@scenario("cancelled too late", "completed")
def _(world: World) -> None:
    start(world, "fal")
    world.begin(act(world, *CANCEL), in_seconds=10)


@scenario("deleted", "completed")
def _(world: World) -> None:
    start(world, "fal")
    world.begin(act(world, *DELETE), in_seconds=900)


@scenario("the caller gives up", "completed", gives_up=True)
def _(world: World) -> None:
    """The first call is never repeated, with or without a response."""
    made = model("fal")
    world.offer(made)
    world.grant(USER, CREDITS)
    world.begin(order(world, made.model_id, attempts=1))


# ── Identical orders ─────────────────────────────────────────────────────────────────────────────


def order_twice(world: World, *, again_after: float, **changes: Any) -> None:
    """One user orders the same video twice, under two keys, of a model that allows one to answer
    the other."""
    made = model("fal", **{"identical": {"credits": 2}} | changes)
    world.offer(made)
    world.grant(USER, CREDITS)
    for number, key in enumerate(("the-first-key-of-two", "the-second-key-of-two")):
        again = order(world, made.model_id, key=key, prompt="the same fox")
        world.begin(again, in_seconds=number * again_after)


def delete_nth(world: World, number: int) -> Script:
    """Delete one of the jobs, and repeat the call until there is a response."""
    if len(job_ids := world.job_ids()) <= number:
        return

    def ask() -> Any:
        return world.http("cancel", "DELETE", f"/v1/videos/{job_ids[number]}", user=USER)

    yield from world.persistently(ask)


@scenario("identical, answered from the first", "completed", "completed")
def _(world: World) -> None:
    order_twice(world, again_after=300)


@scenario("identical, both at once", "completed", "completed")
def _(world: World) -> None:
    order_twice(world, again_after=0)


@scenario("identical, the first fails", "failed", "failed")
def _(world: World) -> None:
    world.network.arm("fal", "runner_error")
    order_twice(world, again_after=8)


@scenario("identical, the first is deleted", "completed", "completed")
def _(world: World) -> None:
    """The second job keeps the file, until it is deleted, too."""
    order_twice(world, again_after=300)
    world.begin(delete_nth(world, 0), in_seconds=1_800)
    world.begin(delete_nth(world, 1), in_seconds=3_600)


# ── Two stages, and many clips ───────────────────────────────────────────────────────────────────

IMAGE, VIDEO = "runware:101@1", "google:3@2"
"""Runware's names of the models that make a scene's image and its video."""


def begin_with(world: World, path: str, body: dict[str, Any]) -> None:
    """One user posts an order, until there is a response."""
    key = {"Idempotency-Key": "the-key-of-one-order"}

    def ask() -> Any:
        return world.http("generate", "POST", path, user=USER, body=body, headers=key)

    world.begin(world.persistently(ask))


def start_scene(world: World, **models: str) -> None:
    """One user orders a scene's image and a video from it."""
    world.grant(USER, CREDITS)
    scene = NewScene(image_prompt="a red kettle", visual_prompt="it boils", duration=4)
    project, _ = project_store.create(USER, NewProject(scenes=[scene]))
    begin_with(world, f"/v1/scenes/{project.scene_ids[0]}/video", models)


FRAMES = {"first_frame": "https://example.com/1.png", "last_frame": "https://example.com/2.png"}


def start_clips(world: World, clips: int, **asked: str) -> str:
    """One user orders the clips of a new project; its id."""
    world.grant(USER, CREDITS)
    scenes = [
        NewScene(visual_prompt=f"scene {number + 1}", duration=4, **FRAMES)
        for number in range(clips)
    ]
    project, _ = project_store.create(USER, NewProject(scenes=scenes))
    begin_with(world, f"/v1/projects/{project.project_id}/clips", asked)
    return project.project_id


BY_RUNWARE = {"image_model_id": "runware-image", "model_id": "runware-veo-3.1-lite"}
LITE = "google:veo@3.1-lite"


@scenario("two stages, Runway", "completed")
def _(world: World) -> None:
    start_scene(world)


@scenario("two stages, Runware", "completed")
def _(world: World) -> None:
    start_scene(world, **BY_RUNWARE)


@scenario("two stages, fal", "completed")
def _(world: World) -> None:
    """Runware makes the image, because fal's models here make none."""
    start_scene(world, image_model_id="runware-image", model_id="veo-3.1-i2v")


@scenario("image fails", "failed")
def _(world: World) -> None:
    world.network.arm("runware", "task_error", endpoint=IMAGE)
    start_scene(world, **BY_RUNWARE)


@scenario("image kept, video fails", "failed")
def _(world: World) -> None:
    world.network.arm("runware", "task_error", endpoint=LITE)
    start_scene(world, **BY_RUNWARE)


@scenario("video declined once", "completed")
def _(world: World) -> None:
    """Another image is made, and another video from it: the owner pays for both again."""
    world.network.arm("runware", "moderation", endpoint=LITE)
    start_scene(world, **BY_RUNWARE)


@scenario("video declined twice", "failed")
def _(world: World) -> None:
    world.network.arm("runware", "moderation", endpoint=LITE, times=2)
    start_scene(world, **BY_RUNWARE)


@scenario("cancelled between", "cancelled", runway={"pending_seconds": 60})
def _(world: World) -> None:
    """The image is stored, and the video waits in the provider's queue."""
    start_scene(world, **BY_RUNWARE | {"model_id": "gen4-turbo"})
    world.begin(act(world, *CANCEL), in_seconds=30)


@scenario("scene deleted", "completed")
def _(world: World) -> None:
    start_scene(world, **BY_RUNWARE)
    world.begin(act(world, *DELETE), in_seconds=900)


@scenario("three clips, one fails", "completed", "failed", "completed")
def _(world: World) -> None:
    world.network.arm("runware", "task_error", prompt_contains="scene 2")
    start_clips(world, 3)


@scenario("two clips, fal", "completed", "completed")
def _(world: World) -> None:
    start_clips(world, 2, model_id="veo-3.1-transition")


@scenario("two clips, Runway", "completed", "completed")
def _(world: World) -> None:
    start_clips(world, 2, model_id="runway-veo-3.1")


@scenario("clips cancelled", "cancelled", "cancelled", fal={"queue_seconds": 60})
def _(world: World) -> None:
    start_clips(world, 2, model_id="veo-3.1-transition")
    world.begin(act(world, *CANCEL), in_seconds=10)


@scenario("project deleted", "completed")
def _(world: World) -> None:
    """Its clip stays, and everything else is gone."""
    path = f"/v1/projects/{start_clips(world, 1)}"

    def delete() -> Script:
        yield from world.persistently(lambda: world.http("projects", "DELETE", path, user=USER))
        answer = yield from world.persistently(
            lambda: world.http("projects", "GET", path, user=USER)
        )
        if answer.status != 404:
            world.found.append(f"the deleted project is answered {answer.status}")

    world.begin(delete(), in_seconds=900)


def get_form(world: World) -> Generator[float, Any, Answer]:
    """One user gets an upload form, and repeats the call until there is a response."""
    body = {"content_type": "image/png"}
    answer = yield from world.persistently(
        lambda: world.http("projects", "POST", "/v1/images", user=USER, body=body)
    )
    return answer


def tiny_png() -> bytes:
    """An image that providers accept."""
    file = io.BytesIO()
    Image.new("RGB", (512, 512), "teal").save(file, "PNG")
    return file.getvalue()


def upload(world: World, form: Answer) -> str:
    """Use a form. Returns the URL of the image."""
    key = form.body["upload"]["fields"]["key"]
    world.aws.s3.put_object(Bucket=IMAGES_BUCKET, Key=key, Body=tiny_png(), ContentType="image/png")
    return str(form.body["image_url"])


def expire(world: World) -> Script:
    """All dates of images come, and Expire runs until it has succeeded."""
    for item in ProjectItem.by_expiry.query(UNUSED):
        due = int(item.look_at) - TWO_DAYS  # in the same order
        item.update([ProjectItem.look_at.set(due), ProjectItem.expires_at.set(LONG_AGO)])
    for pause in (*EVENT_RETRIES, 300, None):
        try:
            world.invoke("expire", SCHEDULED)
        except FunctionFailed:
            if pause is not None:
                yield pause
        else:
            return


def images(world: World) -> list[str]:
    """The keys of all uploaded images."""
    found = world.aws.s3.list_objects_v2(Bucket=IMAGES_BUCKET, Prefix="uploads/")
    return [each["Key"] for each in found.get("Contents", [])]


@scenario("images never used")
def _(world: World) -> None:
    """One form is used and one is not, and nothing is left of both."""

    def play() -> Script:
        upload(world, (yield from get_form(world)))
        yield 60
        yield from get_form(world)
        yield 60
        yield from expire(world)
        left = [item["sk"]["S"] for item in world.aws.items("PROJECTS_TABLE")]
        if left or images(world):
            world.found.append(f"of images that nobody used are left: {left}, {images(world)}")

    world.begin(play())


@scenario("uploaded image", "completed")
def _(world: World) -> None:
    """A job sends it, so it stays."""
    world.grant(USER, CREDITS)

    def play() -> Script:
        body = {
            "model_id": "veo-3.1-i2v",
            "prompt": "a fox in the snow",
            "settings": {"duration": 4},
            "image_url": upload(world, (yield from get_form(world))),
        }
        key = {"Idempotency-Key": "the-key-of-one-order"}
        yield from world.persistently(
            lambda: world.http("generate", "POST", "/v1/videos", user=USER, body=body, headers=key)
        )
        yield 900
        yield from expire(world)
        if not images(world):
            world.found.append("an image that a job has used was deleted")

    world.begin(play())


# ── Credits that end, and refunds ────────────────────────────────────────────────────────────────


def owner_calls(world: World, what: str, **body: Any) -> Script:
    """The owner changes a user's credits, and repeats the call until there is a response."""
    sent = {"user_id": USER, "reference": what, **body}

    def ask() -> Answer:
        path = f"/v1/admin/{what}"
        return world.http("admin", "POST", path, user="owner", scope="clipmint/admin", body=sent)

    answer = yield from world.persistently(ask)
    lines = [entry for entry in journal(USER) if entry.reference == what]
    if (answer.status, len(lines)) != (200, 1):
        world.found.append(f"{what} was answered {answer.status}, and has {len(lines)} lines")


def ends_with(world: World, *, user: str = USER, **expected: int) -> Script:
    """Whenever it is read: the user has these credits, in total."""
    yield 0
    account = ledger.balance_of(user)
    owned = {
        "owned": account.available + account.held - account.debt,
        "in_lots": sum(lot.credits for lot in account.lots),
    }
    wrong = {name: owned[name] for name, value in expected.items() if owned[name] != value}
    if wrong:
        world.found.append(f"the user has {wrong}, and not {expected}")


# ── The owner's actions on a job ─────────────────────────────────────────────────────────────────


def owner_acts(world: World, action: str, *results: str) -> Script:
    """The owner acts on every job, and repeats each call until there is a response. The result is
    one of these, and the audit trail has an entry of each call, written before it."""
    for job_id in world.job_ids():
        path = f"/v1/admin/jobs/{job_id}/{action}"

        def ask(path: str = path) -> Answer:
            before, jobs = len(world.audited(path)), world.jobs()
            body = {"reason": "The user asked for it"}
            answer = world.http(
                "actions", "POST", path, user="owner", scope="clipmint/admin", body=body
            )
            states = [one["state"] for one in world.audited(path)[before:]]
            if answer.status < 500 and states not in (["done"], ["refused"]):
                world.found.append(f"{action} was answered {answer.status}, recorded as {states}")
            if world.jobs() != jobs and not states:
                world.found.append(f"{action} changed the job and is not in the audit trail")
            return answer

        answer = yield from world.persistently(ask)
        result = answer.body.get("result", answer.body.get("code"))
        if result not in results:
            world.found.append(f"{action} resulted in {result}, and not in {' or '.join(results)}")


@scenario("the owner cancels", "cancelled", fal={"queue_seconds": 60})
def _(world: World) -> None:
    start(world, "fal")
    world.begin(owner_acts(world, "cancel", "cancelled", "CANCEL_TOO_LATE"), in_seconds=10)


@scenario("the owner settles", "failed")
def _(world: World) -> None:
    """Its execution was stopped, and the event of that is lost: the sweep would find it later."""
    world.loses_events = True
    world.network.arm("fal", "webhook_lost")
    start_and_abort(world, "fal")
    world.begin(owner_acts(world, "settle", "settled", "ended", "waiting"), in_seconds=60)


@scenario("the owner fetches again", "completed")
def _(world: World) -> None:
    """The CDN delivers again, and the owner does not wait for the execution's next attempt."""
    world.network.arm("fal", "media_error", times=2)
    start(world, "fal")
    results = ("started", "stored", "NOTHING_TO_FETCH")
    world.begin(owner_acts(world, "refetch", *results), in_seconds=17)


@scenario("goodwill, twice", "failed")
def _(world: World) -> None:
    """The owner grants goodwill for a failed job, and presses the button twice."""
    world.network.arm("fal", "runner_error")
    start(world, "fal")

    def press() -> Script:
        for job_id in world.job_ids():
            body = {"user_id": USER, "amount": 7, "job_id": job_id, "reason": "It failed"}

            def ask(body: dict[str, Any] = body) -> Answer:
                owner = {"user": "owner", "scope": "clipmint/admin"}
                return world.http("admin", "POST", "/v1/admin/grants", body=body, **owner)

            answer = yield from world.persistently(ask)
            if answer.status != 200:
                world.found.append(f"goodwill was answered {answer.status}")

    for seconds in (60, 61):
        world.begin(press(), in_seconds=seconds)
    world.begin(ends_with(world, owned=CREDITS + 7), in_seconds=900)


@scenario("promotion ends while held", "failed")
def _(world: World) -> None:
    """The job fails after its credits have ended: they expire with its release."""
    world.network.arm("fal", "runner_error")
    world.grant(USER, 2 * PRICE, promo_seconds=12)
    start(world, "fal")
    world.begin(ends_with(world, owned=CREDITS, in_lots=0), in_seconds=900)


@scenario("promotion ends while used", "completed")
def _(world: World) -> None:
    """The job succeeds after its credits have ended: they were spent in time."""
    world.grant(USER, PRICE, promo_seconds=12)
    start(world, "fal")


@scenario("promotion ends before an order", "completed")
def _(world: World) -> None:
    """The order finds credits that have ended, and spends others."""
    world.grant(USER, 2 * PRICE, promo_seconds=30)
    made = model("fal")
    world.offer(made)
    world.grant(USER, CREDITS)
    world.begin(order(world, made.model_id), in_seconds=60)


@scenario("grant after an end")
def _(world: World) -> None:
    """Credits that have ended expire with the next grant, which is of an allowance."""
    world.grant(USER, 2 * PRICE, promo_seconds=30)
    grant = owner_calls(world, "grants", amount=5, kind="allowance")
    world.begin(grant, in_seconds=60)
    world.begin(ends_with(world, owned=5, in_lots=5), in_seconds=600)


SLOW = {"generation_seconds": 120}
"""The job runs when the refund comes, also if a crash has delayed its order."""


@scenario("refund of held credits", "completed", fal=SLOW)
def _(world: World) -> None:
    """The refund takes nothing from the hold; the rest is owed."""
    start(world, "fal")
    world.begin(owner_calls(world, "clawbacks", amount=CREDITS), in_seconds=75)


@scenario("refund, and the job fails", "failed", fal=SLOW)
def _(world: World) -> None:
    """The released credits repay the debt."""
    world.network.arm("fal", "runner_error")
    start(world, "fal")
    world.begin(owner_calls(world, "clawbacks", amount=CREDITS), in_seconds=75)
    world.begin(ends_with(world, owned=0, in_lots=0), in_seconds=900)


@scenario("correction", "completed", fal=SLOW)
def _(world: World) -> None:
    start(world, "fal")
    correction = owner_calls(world, "adjustments", amount=-CREDITS, reason="Granted by mistake")
    world.begin(correction, in_seconds=75)


# ── What stores report ───────────────────────────────────────────────────────────────────────────


def store_reports(world: World, *deliveries: Callable[[], Delivery], user: str = USER) -> Script:
    """Each event of a store, in turn, delivered until it is answered with 200, and once more."""
    connect_stores(SECRETS)
    pack_store.put("credits-500", Pack.model_validate(PACK))
    if user not in world.users:
        world.users.append(user)
    for make in deliveries:

        def ask(make: Callable[[], Delivery] = make) -> Answer:
            delivery = make()  # signed anew, as stores do
            path = f"/webhooks/purchases/{delivery.store}"
            parts: dict[str, Any] = {"headers": delivery.headers, "body": delivery.body}
            return world.http("purchases", "POST", path, user=None, **parts)

        for _ in range(2):
            answer = yield from world.persistently(ask)
            if answer.status != 200:
                world.found.append(f"a store was answered {answer.status}")


def lines_are(world: World, *, user: str = USER, **expected: int) -> Script:
    """At the end, the journal has so many lines of each kind of these."""
    yield 0
    lines = Counter(entry.kind for entry in journal(user))
    found = {kind: lines[kind] for kind in ("grant", "clawback")}
    if found != {"grant": 0, "clawback": 0} | expected:
        world.found.append(f"the journal has {found}, and not {expected}")


@scenario("a payment, three events")
def _(world: World) -> None:
    """Three kinds of events report one payment, each several times."""
    events = (checkout, intent, partial(checkout, "async_payment_succeeded"))
    world.begin(store_reports(world, *events))
    world.begin(ends_with(world, owned=500, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, grant=1), in_seconds=900)


@scenario("a refund, in parts")
def _(world: World) -> None:
    events = (checkout, partial(charge, 400), partial(charge, 1_000), partial(charge, 400))
    world.begin(store_reports(world, *events))
    world.begin(ends_with(world, owned=0, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, grant=1, clawback=2), in_seconds=900)


@scenario("a refund before its payment")
def _(world: World) -> None:
    world.begin(store_reports(world, partial(charge, 500), checkout))
    world.begin(ends_with(world, owned=250, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, grant=1, clawback=1), in_seconds=900)


@scenario("a full refund before its payment")
def _(world: World) -> None:
    """Nothing was ever available, so there is no event of few credits."""
    user = appstore_wire.USER
    world.begin(store_reports(world, partial(appstore, "REFUND"), appstore, user=user))
    world.begin(ends_with(world, user=user, owned=0, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, user=user, grant=1, clawback=1), in_seconds=900)


@scenario("a payment, first without its user")
def _(world: World) -> None:
    """The purchase waits until another event of the payment names the user."""
    unknown = partial(checkout, client_reference_id=None)

    def look() -> Script:
        yield 0
        if waiting_purchases.list_page(status="waiting", limit=1, cursor=None).purchases:
            world.found.append("a purchase that is credited waits")

    world.begin(store_reports(world, unknown, checkout))
    world.begin(look(), in_seconds=900)
    world.begin(ends_with(world, owned=500, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, grant=1), in_seconds=900)


@scenario("a dispute that is won")
def _(world: World) -> None:
    opened, won = partial(dispute, "created", "needs_response"), partial(dispute, "closed", "won")
    world.begin(store_reports(world, checkout, opened, won))
    world.begin(ends_with(world, owned=500, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, grant=2, clawback=1), in_seconds=900)


@scenario("a refund of the App Store, reversed")
def _(world: World) -> None:
    """Apple's library verifies each delivery."""
    events = (appstore, partial(appstore, "REFUND"), partial(appstore, "REFUND_REVERSED"))
    user = appstore_wire.USER
    world.begin(store_reports(world, *events, user=user))
    world.begin(ends_with(world, user=user, owned=500, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, user=user, grant=2, clawback=1), in_seconds=900)


@scenario("a refund of spent credits", "completed", fal=SLOW)
def _(world: World) -> None:
    """A job runs on purchased credits, while another purchase and its refund are reported."""
    start(world, "fal")
    refund = partial(revenuecat, "CANCELLATION", cancel_reason="CUSTOMER_SUPPORT")
    world.begin(store_reports(world, revenuecat, refund), in_seconds=75)
    world.begin(owner_calls(world, "clawbacks", amount=CREDITS), in_seconds=75)


@scenario("a purchase that waits")
def _(world: World) -> None:
    """Its user is unknown; the owner applies it, and its refund comes before that."""
    unknown = partial(checkout, client_reference_id=None)

    def apply() -> Script:
        yield from store_reports(world, unknown, partial(charge, 500))
        [waits] = waiting_purchases.list_page(status="waiting", limit=2, cursor=None).purchases
        path = f"/v1/admin/purchases/{waits.purchase_id}/apply"
        body = {"user_id": USER}
        for _ in range(2):
            yield from world.persistently(
                lambda: world.http(
                    "admin", "POST", path, user="owner", scope="clipmint/admin", body=body
                )
            )
        if waiting_purchases.list_page(status="waiting", limit=1, cursor=None).purchases:
            world.found.append("an applied purchase waits")

    world.begin(apply())
    world.begin(ends_with(world, owned=250, in_lots=0), in_seconds=900)
    world.begin(lines_are(world, grant=1, clawback=1), in_seconds=900)


# ── Orders without a key ─────────────────────────────────────────────────────────────────────────

WINDOW = 30
"""Seconds in which the same order without a key is one job."""

FOREVER_CLOSED = 20 + WINDOW + 1
"""Seconds after a request, when no crash of it can have kept the window open."""

FOX: dict[str, Any] = {"model": "fal", "prompt": "a fox in the snow"}


def keyless(world: World, path: str, body: dict[str, Any]) -> Generator[float, Any, Answer]:
    """One order without a key, repeated until there is a response."""
    answer = yield from world.persistently(
        lambda: world.http("doors", "POST", path, user=USER, body=body)
    )
    return answer


def with_credits(world: World, *scenes: NewScene) -> Project:
    """The user has credits, a model of fal's, and a project."""
    world.offer(model("fal"))
    world.grant(USER, CREDITS)
    return project_store.create(USER, NewProject(scenes=list(scenes)))[0]


@scenario("no key, a video", "completed")
def _(world: World) -> None:
    with_credits(world)
    world.begin(keyless(world, "/openai/v1/videos", FOX))


@scenario("no key, an image", "completed")
def _(world: World) -> None:
    """The image is part of the order, and stored with it."""
    with_credits(world)
    image = base64.b64encode(tiny_png()).decode()
    body = {
        "model": "veo-3.1-i2v",
        "prompt": "a fox in the snow",
        "seconds": "4",
        "input_reference": {"image_url": f"data:image/png;base64,{image}"},
    }
    world.begin(keyless(world, "/openai/v1/videos", body))


@scenario("no key, a scene", "completed")
def _(world: World) -> None:
    scene = NewScene(image_prompt="a red kettle", visual_prompt="it boils", duration=4)
    project = with_credits(world, scene)
    world.begin(keyless(world, "/api/video/generate", {"scene_id": project.scene_ids[0]}))


@scenario("no key, two clips", "completed", "completed")
def _(world: World) -> None:
    project = with_credits(
        world, *(NewScene(visual_prompt=f"scene {n}", duration=4, **FRAMES) for n in (1, 2))
    )
    body = {"project_id": project.project_id}
    world.begin(keyless(world, "/functions/v1/generate-clips", body))


@scenario("no key, three in a row", "completed")
def _(world: World) -> None:
    """The third request arrives long after the first, and soon after the second. One that crashes
    before its first write is unknown, so its retry must arrive within the window, too."""
    with_credits(world)

    def play() -> Script:
        for pause in (WINDOW - 1.1, WINDOW - 1.1, 0):
            yield from keyless(world, "/openai/v1/videos", FOX)
            yield pause

    world.begin(play())


@scenario("no key, a new order", "completed", "completed")
def _(world: World) -> None:
    """After the window the same request is another order."""
    with_credits(world)

    def play() -> Script:
        yield from keyless(world, "/openai/v1/videos", FOX)
        yield FOREVER_CLOSED
        yield from keyless(world, "/openai/v1/videos", FOX)

    world.begin(play())


# ── What AWS may do ──────────────────────────────────────────────────────────────────────────────


@scenario("started before an update", "completed")
def _(world: World) -> None:
    """The execution follows the earlier definition, and the functions are the new ones."""
    world.machine.follow(earlier_definition())
    start(world, "fal")


@scenario("started before a roll-back", "completed")
def _(world: World) -> None:
    """The execution follows this definition, and Submit does not use its token any more."""
    world.forgets_tokens = True
    start(world, "fal")


@scenario("not started", "completed")
def _(world: World) -> None:
    """StartExecution is throttled, and the sweep starts it."""
    world.machine.throttles = 1
    start(world, "fal")


def start_and_abort(world: World, provider: str, *, in_seconds: float = 10) -> None:
    """One user orders one video, and its execution is stopped."""

    def abort() -> Script:
        for job_id in world.job_ids():
            world.abort(job_id)
        yield from ()

    start(world, provider)
    world.begin(abort(), in_seconds=in_seconds)


@scenario("aborted", "failed")
def _(world: World) -> None:
    start_and_abort(world, "fal")


@scenario("aborted unseen", "failed")
def _(world: World) -> None:
    """The event of the execution's end is lost; the sweep finds the job by its deadline."""
    world.loses_events = True
    world.network.arm("fal", "webhook_lost")
    start_and_abort(world, "fal")


@scenario("aborted at Runway", "failed")
def _(world: World) -> None:
    """Its task has begun, and Runway sends no webhooks."""
    start_and_abort(world, "runway")


@scenario("aborted in Runway's queue", "failed", runway={"pending_seconds": 60})
def _(world: World) -> None:
    start_and_abort(world, "runway")


@scenario("aborted at Runware", "failed")
def _(world: World) -> None:
    start_and_abort(world, "runware", in_seconds=5)


@scenario("aborted unseen, webhook", "failed")
def _(world: World) -> None:
    """The webhook finds no waiting token, and gives the finished video a day to be stored."""
    world.loses_events = True
    start_and_abort(world, "fal")


@scenario("aborted while storing", "failed")
def _(world: World) -> None:
    """The video is made, the CDN does not deliver it, and the execution is stopped."""
    world.network.arm("fal", "media_error", times=None)
    start_and_abort(world, "fal", in_seconds=40)
