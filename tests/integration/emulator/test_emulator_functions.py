"""Functions on the local stack: what they import, what they see, and what is recorded of them."""

import json
import os
import sys

import pytest
from botocore.exceptions import ClientError

from local.stack import STACK_NAME, TRANSFORMED, Stack, wait_for
from tests.integration.emulator.small_app import act, request


def test_a_function_imports_its_layers_sources_and_packages(stack: Stack) -> None:
    word = act(stack, {"do": "import", "module": "probe", "name": "WORD"})
    assert word == "from the layer"
    assert act(stack, {"do": "import", "module": "httpx"}) == "httpx"


def test_a_package_of_the_development_environment_is_not_importable(stack: Stack) -> None:
    for module in ("pytest", "rich", "starlette", "ministack", "local"):
        answer = act(stack, {"do": "import", "module": module})
        assert answer["errorType"] == "ModuleNotFoundError", module


def test_only_a_function_with_the_media_layer_can_import_pyav(stack: Stack) -> None:
    assert act(stack, {"do": "import", "module": "av"}, "ActWithMedia") == "av"
    assert act(stack, {"do": "import", "module": "av"})["errorType"] == "ModuleNotFoundError"


def test_a_function_sees_what_aws_and_its_template_declare_and_no_more(stack: Stack) -> None:
    variables = act(stack, {"do": "environment"})["variables"]
    assert variables["DECLARED"] == "yes"
    assert variables["TABLE"] == stack.tables["Table"]
    assert variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert variables["AWS_ENDPOINT_URL"] == stack.aws_endpoint
    # Values, not names: another test of this process may have set what a function has too. The
    # emulator gives every function the same secret key, which other tests use as well.
    shared = {"PATH", "LANG", "TZ", "TMPDIR", "AWS_REGION", "AWS_DEFAULT_REGION"}
    shared |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    foreign = {(name, value) for name, value in os.environ.items() if name not in shared}
    assert not foreign & set(variables.items())


def test_handlers_do_not_run_on_our_interpreters_packages(stack: Stack) -> None:
    path = act(stack, {"do": "environment"})["path"]
    assert not [entry for entry in path if entry.startswith(sys.prefix + "/lib")]
    assert not [entry for entry in path if "emulator/lib" in entry]


def test_the_context_names_the_function_and_its_remaining_time(stack: Stack) -> None:
    context = act(stack, {"do": "context"})
    assert context["arn"] == stack.functions["Act"]
    assert context["memory"] == 128
    assert 4000 < context["left"] <= 5000


def test_a_function_that_takes_too_long_is_ended(stack: Stack) -> None:
    answer = act(stack, {"do": "sleep", "seconds": 8})
    assert answer["errorType"] == "Sandbox.Timedout"
    assert "timed out after 5.00 seconds" in answer["errorMessage"]
    assert act(stack, {"do": "tell"}) == {"do": "tell"}


def test_a_function_that_exits_reports_its_status(stack: Stack) -> None:
    answer = act(stack, {"do": "leave", "status": 3})
    assert "exit status 3" in answer["errorMessage"]


def test_both_outputs_are_the_functions_log(stack: Stack) -> None:
    act(stack, {"do": "shout", "words": "hear, hear"})
    lines = stack.logs("Act")
    assert "hear, hear" in lines
    assert "and so says the file descriptor" in lines


def test_an_exceptions_traceback_is_in_the_log(stack: Stack) -> None:
    act(stack, {"do": "fail", "because": "the traceback test says so"})
    assert "app.Declined: the traceback test says so" in stack.logs("Act")


def test_a_custom_resource_has_really_run_its_function(stack: Stack) -> None:
    item = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["Table"], Key={"id": {"S": "made"}}
    )
    assert json.loads(item["Item"]["event"]["S"])["Colour"] == "green"


def test_the_deployed_template_is_kept_for_the_next_start(stack: Stack) -> None:
    deployed = stack.boto3("cloudformation").get_template(
        StackName=STACK_NAME, TemplateStage="Processed"
    )["TemplateBody"]
    kept = [json.loads(file.read_text(encoding="utf-8")) for file in TRANSFORMED.glob("*.json")]
    assert deployed in kept
    # It is not the template as it was sent, but what SAM makes of it.
    assert deployed["Resources"]["Act"]["Type"] == "AWS::Lambda::Function"


def test_a_template_that_the_transform_refuses_is_refused_each_time(stack: Stack) -> None:
    topic = {"DisplayName": {"Fn::ToJsonString": {"needs": "another macro"}}}
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": topic}},
    }
    cloudformation = stack.boto3("cloudformation")
    for _ in range(2):
        with pytest.raises(ClientError, match="AWS::LanguageExtensions"):
            cloudformation.create_stack(StackName="refused", TemplateBody=json.dumps(template))


def test_a_scoped_route_refuses_a_token_without_the_scope(stack: Stack) -> None:
    plain = request(stack, "POST", "/owner", json={"do": "tell"}, headers=stack.bearer("ada"))
    owner = stack.bearer("boss", admin=True)
    admin = request(stack, "POST", "/owner", json={"do": "tell"}, headers=owner)
    assert (plain.status_code, admin.status_code) == (403, 200)
    claims = admin.json()["requestContext"]["authorizer"]["jwt"]["claims"]
    assert (claims["sub"], claims["scope"]) == ("boss", "clipmint/admin")


def test_expired_foreign_and_forged_tokens_are_refused(stack: Stack) -> None:
    tokens = {
        stack.token("ada", expires_in=-10): "the token has expired",
        stack.token("ada", audience="another-app"): "the token does not have a valid audience",
        stack.token("ada", iss="https://elsewhere.example.com"): "the token is not valid",
        stack.token("ada")[:-8] + "AAAAAAAA": "the token is not valid",
        stack.token("ada", exp="soon"): "the token is not valid",
        "nonsense": "the token is not valid",
    }
    for token, why in tokens.items():
        headers = {"Authorization": f"Bearer {token}"}
        answer = request(stack, "GET", "/things/7", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer scope="" error="invalid_token" error_description="{why}"'
        )


def test_a_missing_token_is_answered_with_the_scheme_alone(stack: Stack) -> None:
    answer = request(stack, "GET", "/things/7")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_route_without_an_authorizer_takes_its_path_as_it_is(stack: Stack) -> None:
    answer = request(stack, "POST", "/hooks/a%20b", json={"do": "tell"})
    assert answer.json()["pathParameters"] == {"token": "a b"}
    assert answer.json()["rawPath"] == "/hooks/a b"


def test_the_apis_port_serves_the_api_alone(stack: Stack) -> None:
    headers = stack.bearer("ada")
    assert request(stack, "GET", "/health", headers=headers).json()["rawPath"] == "/health"
    for path in ("/_ministack/health", "/", "/_ministack/reset"):
        assert request(stack, "GET", path).status_code == 404


def test_only_the_origins_of_the_template_may_read_answers(stack: Stack) -> None:
    allowed = {"Origin": "https://second.example.com", **stack.bearer("ada")}
    foreign = {"Origin": "https://evil.example.com", **stack.bearer("ada")}
    header = "Access-Control-Allow-Origin"
    answer = request(stack, "GET", "/things/7", headers=allowed)
    assert answer.headers[header] == "https://second.example.com"
    assert header not in request(stack, "GET", "/things/7", headers=foreign).headers


def test_the_journal_holds_each_call_of_an_invocation(stack: Stack) -> None:
    act(stack, {"do": "write", "id": "journal-test"})
    (invocation,) = stack.invocations(function="Act", about="journal-test")
    table, bucket = stack.tables["Table"], stack.buckets["Bucket"]
    assert [(c.service, c.operation, c.resource) for c in invocation.calls] == [
        ("dynamodb", "PutItem", table),
        ("dynamodb", "PutItem", table),
        ("s3", "PutObject", bucket),
    ]
    assert {call.status for call in invocation.calls} == {200}
    assert [call.capacity for call in invocation.calls] == [1, 1, None]
    assert [call.units for call in invocation.calls] == [{table: 1}, {table: 1}, None]
    assert invocation.ended
    assert invocation.milliseconds is not None
    assert 0 < (invocation.cpu_milliseconds or 0) < invocation.milliseconds
    assert 5 < (invocation.peak_megabytes or 0) < 512
    assert invocation.result == "written"


def test_a_planned_crash_strikes_after_the_call_it_names_and_once(stack: Stack) -> None:
    stack.crash("Act", "PutItem", nth=2)
    crashed = act(stack, {"do": "write", "id": "crash-test"})
    assert crashed["errorType"] == "Runtime.ExitError"
    assert stack.planned_crashes() == 0
    (invocation,) = stack.invocations(about="crash-test")
    assert not invocation.ended
    assert [call.operation for call in invocation.calls] == ["PutItem", "PutItem"]
    assert act(stack, {"do": "write", "id": "crash-test"}) == "written"


def test_a_crash_before_a_call_leaves_it_unsent(stack: Stack) -> None:
    stack.crash("Act", "PutObject", moment="before", resource=stack.buckets["Bucket"])
    act(stack, {"do": "write", "id": "unsent-test"})
    keys = stack.boto3("s3").list_objects_v2(Bucket=stack.buckets["Bucket"]).get("Contents", [])
    assert "unsent-test" not in {item["Key"] for item in keys}


def test_a_crash_about_a_text_strikes_no_other_event(stack: Stack) -> None:
    stack.crash("Act", "PutItem", about="mine-test")
    assert act(stack, {"do": "write", "id": "other-test"}) == "written"
    assert (stack.planned_crashes("mine-test"), stack.planned_crashes("other-test")) == (1, 0)
    assert act(stack, {"do": "write", "id": "mine-test"})["errorType"] == "Runtime.ExitError"
    assert stack.planned_crashes() == 0
    stack.crash("Act", "PutItem", about="mine-test")
    stack.call_off_crashes("mine-test")
    assert act(stack, {"do": "write", "id": "mine-test"}) == "written"


def test_a_crash_at_the_return_loses_only_the_answer(stack: Stack) -> None:
    stack.crash("Act", "Return")
    wish = {"do": "write", "id": "return-test"}
    answer = request(stack, "POST", "/do", json=wish, headers=stack.bearer("ada"))
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    (invocation,) = stack.invocations(about="return-test")
    assert [call.operation for call in invocation.calls] == ["PutItem", "PutItem", "PutObject"]


def test_a_worker_killed_from_outside_is_replaced(stack: Stack) -> None:
    before = act(stack, {"do": "sleep", "seconds": 0})
    assert before in stack.workers("Act")
    assert stack.kill_workers("Act") >= 1
    wait_for(lambda: before not in stack.workers("Act"), 120)
    assert act(stack, {"do": "sleep", "seconds": 0}) != before
