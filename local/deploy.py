"""Deploys the real template.yaml from the source tree, without `sam build`.

This module does the work of `sam package`: each CodeUri folder becomes a zip, the state machine's
YAML becomes JSON, and both are uploaded. CloudFormation gets the template with these addresses, and
applies the SAM transform. Every resource of the template is created.

The two layers differ from AWS, because their packages are built for another platform.
`ClipmintLayer` contains only our own package, and its file `python.path` names the packages of
`.envs/lambda` (the layer's requirements, installed for this computer); `MediaLayer` names those of
`.envs/lambda-media`. `local.runtime.bootstrap` reads that file. So a function can import exactly
what its layers declare.
"""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

ROOT = Path(__file__).parents[1]
ARTIFACTS = "local-artifacts"
POLL_SECONDS = 0.1
# On a busy machine each poll makes the deployment slower.
LONGEST_POLL_SECONDS = 0.5
DEPLOY_PATIENCE_SECONDS = 180


class DeployFailedError(RuntimeError):
    """The stack did not become complete. The message lists the failed resources and the reasons."""


@dataclass(frozen=True)
class Deployed:
    """A complete stack: its outputs, and its resources' physical ids by logical id."""

    outputs: dict[str, str]
    resources: dict[str, str]
    types: dict[str, str]

    def of_type(self, resource_type: str) -> dict[str, str]:
        return {
            name: self.resources[name] for name, kind in self.types.items() if kind == resource_type
        }


@dataclass(frozen=True)
class Layer:
    """The local content of a layer: our own sources, and the directory of its packages."""

    sources: tuple[Path, ...]
    packages: Path


def site_packages(environment: Path) -> Path:
    """The site-packages folder of a virtual environment. Raises DeployFailedError without one."""
    found = sorted(environment.glob("lib/python3.*/site-packages"))
    if not found:
        raise DeployFailedError(
            f"{environment} does not exist: make the environments first (see CONTRIBUTING.md)"
        )
    return found[-1]


def default_layers() -> dict[str, Layer]:
    """The layers of template.yaml by logical id."""
    return {
        "ClipmintLayer": Layer(
            (ROOT / "shared" / "clipmint",), site_packages(ROOT / ".envs" / "lambda")
        ),
        "MediaLayer": Layer((), site_packages(ROOT / ".envs" / "lambda-media")),
        "AppStoreLayer": Layer((), site_packages(ROOT / ".envs" / "lambda-appstore")),
    }


class Packager:
    """Uploads the files that a template refers to, and replaces the references."""

    def __init__(self, s3: Any, template: Path, layers: Mapping[str, Layer]) -> None:
        self._s3 = s3
        self._folder = template.parent
        self._layers = layers
        self._template = load_template(template)
        s3.create_bucket(Bucket=ARTIFACTS)

    def packaged(self) -> dict[str, Any]:
        for name, resource in self._template["Resources"].items():
            properties = resource.get("Properties", {})
            # Metadata is for `sam build`, which is not used here.
            resource.pop("Metadata", None)
            if resource["Type"] == "AWS::Serverless::Function":
                code = archive_of_folder(self._folder / properties["CodeUri"])
                properties["CodeUri"] = self._upload(code, "zip")
            elif resource["Type"] == "AWS::Serverless::LayerVersion":
                properties["ContentUri"] = self._upload(archive_of_layer(self._layers[name]), "zip")
            elif resource["Type"] == "AWS::Serverless::StateMachine":
                written = (self._folder / properties["DefinitionUri"]).read_text(encoding="utf-8")
                definition = yaml.load(written, yaml.CSafeLoader)
                properties["DefinitionUri"] = self._upload(json.dumps(definition).encode(), "json")
        return self._template

    def url_of(self, template: Mapping[str, Any]) -> str:
        """The URL of the packaged template, which is too long for a request."""
        location = self._upload(json.dumps(template, separators=(",", ":")).encode(), "json")
        return f"https://s3.amazonaws.com/{location.removeprefix('s3://')}"

    def _upload(self, content: bytes, suffix: str) -> str:
        key = f"{hashlib.sha256(content).hexdigest()}.{suffix}"
        self._s3.put_object(Bucket=ARTIFACTS, Key=key, Body=content)
        return f"s3://{ARTIFACTS}/{key}"


class _CloudFormationLoader(yaml.CSafeLoader):
    """YAML with CloudFormation's short forms, `!Ref` and the like."""


def _long_form(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix in {"Ref", "Condition"}:
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_CloudFormationLoader.add_multi_constructor("!", _long_form)


def load_template(path: Path) -> dict[str, Any]:
    """A template as plain data, every function in its long form."""
    with path.open(encoding="utf-8") as file:
        template: dict[str, Any] = yaml.load(file, _CloudFormationLoader)  # noqa: S506 - a safe one
    return template


def archive_of_folder(folder: Path) -> bytes:
    """A zip of a function's folder."""
    return _archive({path.relative_to(folder): path for path in _sources(folder)})


def archive_of_layer(layer: Layer) -> bytes:
    """A zip of a layer: `python/<package>/…` and `python.path`."""
    files = {
        Path("python") / path.relative_to(source.parent): path
        for source in layer.sources
        for path in _sources(source)
    }
    return _archive(files, {"python.path": f"{layer.packages}\n"})


def _sources(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _archive(files: Mapping[Path, Path], texts: Mapping[str, str] | None = None) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, path in files.items():
            # A fixed date, so that equal sources give equal zips.
            archive.writestr(zipfile.ZipInfo(name.as_posix()), path.read_bytes())
        for title, text in (texts or {}).items():
            archive.writestr(zipfile.ZipInfo(title), text)
    return content.getvalue()


def deploy(
    client: Callable[[str], Any],
    *,
    stack: str,
    template: Path,
    parameters: Mapping[str, str],
    layers: Mapping[str, Layer],
    update: bool = False,
) -> Deployed:
    """Create or update the stack, and wait until it is complete. Raises `DeployFailedError`.

    `client` makes a boto3 client of a service. A parameter the template does not have is left out.
    """
    cloudformation = client("cloudformation")
    packager = Packager(client("s3"), template, layers)
    packaged = packager.packaged()
    try:
        submit = cloudformation.update_stack if update else cloudformation.create_stack
        submit(
            StackName=stack,
            TemplateURL=packager.url_of(packaged),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in parameters.items()
                if key in packaged.get("Parameters", {})
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise DeployFailedError(str(error)) from error
    deadline = time.monotonic() + DEPLOY_PATIENCE_SECONDS
    pause = POLL_SECONDS
    while True:
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        status = described["StackStatus"]
        if status == ("UPDATE_COMPLETE" if update else "CREATE_COMPLETE"):
            break
        if not status.endswith("_IN_PROGRESS") or time.monotonic() > deadline:
            raise DeployFailedError(f"{status}:\n{_failures(cloudformation, stack)}")
        time.sleep(pause)
        pause = min(1.2 * pause, LONGEST_POLL_SECONDS)
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return Deployed(
        outputs={o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])},
        resources={r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources},
        types={r["LogicalResourceId"]: r["ResourceType"] for r in resources},
    )


def _failures(cloudformation: Any, stack: str) -> str:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    return "\n".join(
        f"{event['LogicalResourceId']} ({event['ResourceType']}): "
        f"{event.get('ResourceStatusReason', '')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("FAILED")
    )
