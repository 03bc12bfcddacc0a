"""Every provider has all of what README's "Add a provider" asks for.

Nothing here knows a provider but `KNOWN`: a new name in `registry.KEY_NAMES` fails test by test
until each item of the checklist is there. `test_provider_names` checks that the rest of the code
names none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.route import Route
from clipmint.jobs.outcomes import USER_MESSAGES, FailureCode
from clipmint.providers import base, registry
from clipmint.providers.base import Rejected, Task, WebhookSender
from local.demo.orders import NAMES
from local.providers import PROVIDERS
from local.simulator.client import start
from tests.support.reading import ROOT


@dataclass(frozen=True)
class Known:
    """A provider's official SDK, as PyPI and an import call it, and a key of the right shape."""

    sdk: str
    imported: str
    key: str


KNOWN: Mapping[str, Known] = {
    "fal": Known("fal-client", "fal_client", "key-id:verysecret"),
    "runway": Known("runwayml", "runwayml", "key_verysecret"),
    "runware": Known("runware-sdk", "runware", "verysecret"),
}

CONTRACT = ROOT / "tests" / "contract"

each_provider = pytest.mark.parametrize("name", registry.KEY_NAMES)


def package(name: str) -> ModuleType:
    return importlib.import_module(f"clipmint.providers.{name}")


def modules(of: ModuleType) -> dict[str, ModuleType]:
    """The modules of an adapter's package, by their names inside it."""
    found = (info.name for info in pkgutil.iter_modules(of.__path__))
    return {name: importlib.import_module(f"{of.__name__}.{name}") for name in found}


def adapter(name: str, transport: httpx.BaseTransport | None = None) -> Any:
    of = package(name)
    return of.Adapter(of.Settings(key=KNOWN[name].key), transport)


# ── The adapter ──────────────────────────────────────────────────────────────────────────────────


@each_provider
def test_a_provider_is_a_package_that_declares_what_it_promises(name: str) -> None:
    package_doc = package(name).__doc__ or ""
    assert "`Provider` port" in package_doc
    for module_name, module in modules(package(name)).items():
        assert module.__doc__, f"{module_name} opens without a docstring"
        assert f"`{module_name}`" in package_doc, f"{module_name} is not in the package's list"


@each_provider
def test_a_provider_implements_the_port(name: str) -> None:
    made = adapter(name)
    assert made.name == name
    assert made.after_unanswered in {"wait", "resubmit", "fail"}
    assert made.media_hosts
    for method in ("submit", "poll", "cancel"):
        expected = inspect.signature(getattr(base.Provider, method))
        assert inspect.signature(getattr(type(made), method)) == expected
    if isinstance(made, WebhookSender):
        expected = inspect.signature(WebhookSender.read_webhook)
        assert inspect.signature(type(made).read_webhook) == expected
    else:
        # Only a webhook can report the result of a submission without a known id.
        assert made.after_unanswered != "wait"


@each_provider
def test_the_registry_makes_the_adapter_from_the_owners_key_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEYS_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:keys")
    assert isinstance(registry.make_adapter(name, KNOWN[name].key), type(adapter(name)))
    assert registry.make_adapter(name, "no key at all\n") is None


@each_provider
def test_a_providers_key_never_shows_in_what_is_printed(name: str) -> None:
    settings = package(name).Settings(key=KNOWN[name].key)
    assert "verysecret" not in repr(settings)
    with pytest.raises(ValidationError) as error:
        package(name).Settings(key=KNOWN[name].key, media_hosts=())
    assert "verysecret" not in str(error.value)


# ── What its failures mean ───────────────────────────────────────────────────────────────────────


def taxonomy(name: str) -> Iterator[tuple[str, object]]:
    """Every entry of every table in the provider's `failures`, with where it stands."""
    for table, entries in vars(modules(package(name))["failures"]).items():
        if table.isupper() and not table.startswith("_"):
            if isinstance(entries, Mapping):
                yield from ((f"{table}[{key!r}]", entry) for key, entry in entries.items())
            elif isinstance(entries, tuple):
                yield from ((f"{table}[{number}]", entry) for number, entry in enumerate(entries))


@each_provider
def test_every_failure_a_provider_has_a_word_for_has_one_for_the_user(name: str) -> None:
    entries = list(taxonomy(name))
    assert len(entries) >= 15
    for where, entry in entries:
        code = getattr(getattr(entry, "meaning", entry), "code", None)
        assert isinstance(code, FailureCode), f"{where} has no failure code"
        assert USER_MESSAGES[code]


@each_provider
def test_the_failures_every_provider_has_are_distinguished(name: str) -> None:
    codes = {getattr(entry, "meaning", entry).code for _, entry in taxonomy(name)}  # type: ignore[attr-defined]
    assert codes >= {
        FailureCode.CONTENT_POLICY,
        FailureCode.INVALID_INPUT,
        FailureCode.INPUT_UNREADABLE,
        FailureCode.OWNER_ACCOUNT,
        FailureCode.PROVIDER_ERROR,
        FailureCode.PROVIDER_UNAVAILABLE,
    }


# ── Its simulator, and the SDK that verifies the simulator ───────────────────────────────────────


def test_every_provider_can_be_simulated_and_nothing_else_can() -> None:
    assert {name: known.key_name for name, known in PROVIDERS.items()} == registry.KEY_NAMES


def test_every_provider_has_its_part_in_the_demo() -> None:
    assert NAMES.keys() == registry.KEY_NAMES.keys()


@each_provider
def test_the_same_part_of_each_simulator_has_the_same_file_name(name: str) -> None:
    simulator = importlib.import_module(PROVIDERS[name].module)
    assert {info.name for info in pkgutil.iter_modules(simulator.__path__)} >= {
        *("app", "routes", "validation", "models", "errors"),
        *("tasks", "generation", "faults", "settings"),
    }


@each_provider
def test_a_providers_simulator_runs_and_overrides_every_address(name: str) -> None:
    known = PROVIDERS[name]
    with start(known.module) as simulator:
        assert simulator.submissions() == []
        overrides = known.overrides(simulator.about)
        assert simulator.about["key"]
    assert overrides.keys() == addresses(name).keys()
    registry.check_overrides(json.dumps({name: overrides}))


@each_provider
def test_a_providers_simulator_is_described(name: str) -> None:
    page = (ROOT / "docs" / "simulators.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", page, flags=re.MULTILINE)
    sections = dict(zip(map(str.lower, parts[1::2]), parts[2::2], strict=True))
    assert f"python -m {PROVIDERS[name].module}" in sections[name]
    for heading in ("What it does", "Settings", "Faults"):
        assert f"\n### {heading}\n" in sections[name]


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def drives(test: Path, sdk: str) -> bool:
    """Whether a test uses the SDK, itself or by a script it runs in the SDK's own environment."""
    drivers = [
        driver
        for driver in (CONTRACT / "drivers").glob("*.py")
        if f'"{driver.name}"' in test.read_text(encoding="utf-8")
    ]
    return any(sdk in imports(path) for path in (test, *drivers))


def test_every_provider_has_an_official_sdk_that_is_locked() -> None:
    assert KNOWN.keys() == registry.KEY_NAMES.keys()
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    assert {known.sdk for known in KNOWN.values()} <= {found["name"] for found in locked}


@each_provider
def test_the_official_sdk_drives_the_simulator(name: str) -> None:
    tests = list(CONTRACT.glob(f"test_{name}_*.py"))
    module = PROVIDERS[name].module
    assert any(
        drives(test, KNOWN[name].imported) and f'"{module}"' in test.read_text(encoding="utf-8")
        for test in tests
    )


@each_provider
def test_what_the_adapter_sends_is_compared_with_what_the_official_sdk_sends(name: str) -> None:
    wire = CONTRACT / f"test_{name}_wire.py"
    assert drives(wire, KNOWN[name].imported)
    assert f"clipmint.providers.{name}" in wire.read_text(encoding="utf-8")


def test_no_sdk_ever_enters_what_is_deployed() -> None:
    sdks = {known.imported for known in KNOWN.values()}
    for folder in ("shared", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not imports(path) & sdks, path


# ── Settings, key, catalog ───────────────────────────────────────────────────────────────────────


def addresses(name: str) -> dict[str, Any]:
    """The default addresses of a provider by the names of its settings."""
    defaults: dict[str, Any] = package(name).Settings().model_dump(exclude={"key"})
    return defaults


@each_provider
def test_a_provider_has_its_real_addresses_as_default(name: str) -> None:
    settings = package(name).Settings
    assert addresses(name)["media_hosts"]
    urls = [value for setting, value in addresses(name).items() if setting != "media_hosts"]
    assert urls
    assert all(url.startswith("https://") for url in urls)
    # Defaults are not validated when they are used.
    assert settings(**addresses(name)) == settings()


def orders(model: Model) -> Iterator[tuple[Settings, str | None, str | None]]:
    """Everything a user can ask of a model: settings, first and last image."""
    first, last = "https://example.com/a.png", "https://example.com/b.png"
    firsts: list[str | None] = [None] if model.image == "none" else [first]
    lasts: list[str | None] = [None] if model.last_image == "none" else [last]
    firsts += [None] * (model.image == "optional")
    lasts += [None] * (model.last_image == "optional")
    declared = model.declared()
    # Of a range, its ends: `test_catalog_bodies.py` looks at the values between.
    values = [parameter.extremes() for parameter in declared.values()]
    for combination in itertools.product(*values):
        settings = Settings.model_validate(dict(zip(declared, combination, strict=True)))
        for image, last_image in itertools.product(firsts, lasts):
            if image or not last_image:
                yield settings, image, last_image


ROUTES = [
    pytest.param(model, route, id=f"{model.model_id}-{route.provider}")
    for model in DEFAULT_CATALOG
    for route in model.routes
]


@pytest.mark.parametrize(("model", "route"), ROUTES)
def test_every_order_the_catalog_allows_is_one_the_adapter_can_send(
    model: Model, route: Route
) -> None:
    sent: list[httpx.Request] = []

    def overloaded(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(503)

    made = adapter(route.provider, httpx.MockTransport(overloaded))
    kinds = set()
    for settings, image, last_image in orders(model):
        task = Task(
            task_id="17f20503-6c24-4c16-946b-35dbbce2af2f",
            route=route,
            prompt="é" * model.max_prompt_units,
            image_url=image,
            last_image_url=last_image,
            settings=settings.stated(),
        )
        # Raises `UnfitTask`. Sending takes ten times as long, so one of each kind is sent.
        json.dumps(made.request(task))
        if (image, last_image) not in kinds:
            kinds.add((image, last_image))
            assert not isinstance(made.submit(task), Rejected), task
    assert len(sent) == len(kinds) > 0


@each_provider
def test_the_default_catalog_has_a_video_that_a_provider_alone_makes(name: str) -> None:
    assert any(
        model.produces == "video" and [route.provider for route in model.routes] == [name]
        for model in DEFAULT_CATALOG
    )


def test_no_default_model_leads_to_an_unknown_provider() -> None:
    routed = {route.provider for model in DEFAULT_CATALOG for route in model.routes}
    assert routed == registry.NAMES
