"""Every correction of the emulator, tested with ours and with unmodified ministack.

Ours must answer as AWS does. ministack must still answer otherwise: when it no longer does, the
second test reports that our correction can be removed.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.stack import Stack, wait_for
from tests.integration.emulator.small_app import act, outcome, request, role, run, start, task

Question = Callable[[Stack], Any]

CALLBACK = {"do": "tell", "token": "{% $states.context.Task.Token %}"}
NO_VALUE = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT."
CAUGHT = {"Type": "Pass", "Output": "{% $states.input %}", "End": True}


def route_answers(stack: Stack) -> Any:
    """An HTTP API made from SAM's HttpApi has its routes and parameters."""
    answer = request(stack, "GET", "/things/7", headers=stack.bearer("ada"))
    return answer.status_code, answer.json().get("pathParameters")


def route_wants_a_token(stack: Stack) -> Any:
    """A route with the default authorizer refuses a request without a token."""
    return request(stack, "GET", "/things/7").status_code


def failing_function_over_http(stack: Stack) -> Any:
    """A client learns nothing of a function's exception."""
    answer = request(stack, "POST", "/do", json={"do": "fail"}, headers=stack.bearer("ada"))
    return answer.status_code, answer.json()


def preflight(stack: Stack) -> Any:
    """The API answers preflights with the origins of its template."""
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    answer = request(stack, "OPTIONS", "/things/7", headers=headers)
    return answer.status_code, answer.headers.get("Access-Control-Allow-Origin")


def error_class(stack: Stack) -> Any:
    """An exception keeps its class name."""
    return act(stack, {"do": "fail"}).get("errorType")


def stack_trace(stack: Stack) -> Any:
    """An exception comes with the handler's own frames."""
    frames = act(stack, {"do": "fail"}).get("stackTrace", [])
    return ["in fail" in frames[-1] if frames else None, len(frames)]


def killed_worker(stack: Stack) -> Any:
    """A worker that was killed is a Runtime.ExitError."""
    return act(stack, {"do": "leave"}).get("errorType")


def unspeakable_result(stack: Stack) -> Any:
    """A result JSON cannot hold is a Runtime.MarshalError."""
    return act(stack, {"do": "unspeakable"}).get("errorType")


def undeclared_import(stack: Stack) -> Any:
    """A package no layer brings cannot be imported: `yaml` is the emulator's own."""
    answer = act(stack, {"do": "import", "module": "yaml"})
    return answer["errorMessage"] if isinstance(answer, dict) else answer


def host_environment(stack: Stack) -> Any:
    """No variable of the emulator reaches a function."""
    variables = act(stack, {"do": "environment"})["variables"]
    return sorted({"GATEWAY_PORT", "BIND_HOST", "HOME", "AUTH"} & set(variables))


def silent_call(stack: Stack) -> Any:
    """A warm call that prints nothing takes no longer than one that prints (upstream: 50 ms)."""

    def seconds(wish: dict[str, Any]) -> float:
        started = time.monotonic()
        act(stack, wish)
        return time.monotonic() - started

    silent, printing = {"do": "tell"}, {"do": "shout", "words": "a line"}
    both = [(seconds(silent), seconds(printing)) for _ in range(20)]
    quickest = [min(times) for times in zip(*both, strict=True)]
    return quickest[0] - quickest[1] < 0.025


def worker_survives_an_exception(stack: Stack) -> Any:
    """An exception does not cost the next call a cold start."""
    before = act(stack, {"do": "sleep", "seconds": 0})
    act(stack, {"do": "fail"})
    return act(stack, {"do": "sleep", "seconds": 0}) == before


def callback_function_fails(stack: Stack) -> Any:
    """A waitForTaskToken function that raises fails its task, by name."""
    wish = {"do": "fail", "token": "{% $states.context.Task.Token %}"}
    return outcome(run(stack, {"Wait": task(stack, wish, callback=True)}, seconds=3))


def jsonata_timeout_of_a_callback(stack: Stack) -> Any:
    """TimeoutSeconds may be a JSONata expression."""
    wait = task(stack, CALLBACK, callback=True, TimeoutSeconds="{% $states.input.seconds %}")
    return outcome(run(stack, {"Wait": wait}, {"seconds": 1}, seconds=4))


def heartbeat_of_a_callback(stack: Stack) -> Any:
    """A callback without heartbeats ends with its heartbeat's timeout."""
    wait = task(stack, CALLBACK, callback=True, HeartbeatSeconds=1, TimeoutSeconds=30)
    return outcome(run(stack, {"Wait": wait}, seconds=4))


def fresh_token_per_attempt(stack: Stack) -> Any:
    """Each attempt of a task has a token of its own."""
    mark = uuid.uuid4().hex
    retry = [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    wait = task(stack, logged_token(mark), callback=True, TimeoutSeconds=1, Retry=retry)
    run(stack, {"Wait": wait})
    tokens = logged_tokens(stack, mark)
    return len(tokens), len(set(tokens))


def logged_token(mark: str) -> Any:
    """A wish that prints its token behind a mark."""
    return {"do": "shout", "words": f"{{% '{mark} ' & $states.context.Task.Token %}}"}


def logged_tokens(stack: Stack, mark: str) -> list[str]:
    lines = [line for line in stack.logs("Act") if line.startswith(mark)]
    return [line.split()[1] for line in lines]


def longest_delay_is_kept(stack: Stack) -> Any:
    """MaxDelaySeconds bounds the wait between attempts."""
    retry = [
        {
            "ErrorEquals": ["Declined"],
            "IntervalSeconds": 60,
            "MaxDelaySeconds": 1,
            "MaxAttempts": 1,
        }
    ]
    return outcome(run(stack, {"Do": task(stack, {"do": "fail"}, Retry=retry)}, seconds=3))


def retry_by_class_name(stack: Stack) -> Any:
    """MaxAttempts 0 of a named error comes before a later States.ALL."""
    retry = [
        {"ErrorEquals": ["Declined"], "MaxAttempts": 0},
        {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60, "MaxAttempts": 3},
    ]
    return outcome(run(stack, {"Do": task(stack, {"do": "fail"}, Retry=retry)}, seconds=3))


def catch_by_class_name(stack: Stack) -> Any:
    """Catch matches a class name, and Assign sees the error."""
    catch = [
        {
            "ErrorEquals": ["Declined"],
            "Assign": {"error": "{% $states.errorOutput.Error %}"},
            "Next": "After",
        }
    ]
    after = {**CAUGHT, "Output": "{% $error %}"}
    return outcome(run(stack, {"Do": task(stack, {"do": "fail"}, Catch=catch), "After": after}))


def execution_timeout(stack: Stack) -> Any:
    """A state machine's own TimeoutSeconds ends an execution as TIMED_OUT."""
    wait = task(stack, CALLBACK, callback=True)
    return run(stack, {"Wait": wait}, seconds=4, TimeoutSeconds=1)["status"]


def runtime_errors_are_not_caught(stack: Stack) -> Any:
    """States.ALL does not catch States.Runtime."""
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "After"}]
    broken = {
        "Type": "Task",
        "Resource": "arn:aws:states:::no-such-service:call",
        "Catch": catch,
        "End": True,
    }
    return outcome(run(stack, {"Do": broken, "After": CAUGHT}))


def assignments_see_the_old_values(stack: Stack) -> Any:
    """All expressions of one Assign see the variables as they were before it."""
    first = {"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "Swap"}
    swap = {"Type": "Pass", "Assign": {"a": "{% $b %}", "b": "{% $a %}"}, "Next": "Show"}
    show = {"Type": "Pass", "Output": "{% [$a, $b] %}", "End": True}
    return outcome(run(stack, {"First": first, "Swap": swap, "Show": show}))


def same_start_twice(stack: Stack) -> Any:
    """Starting a running name again with its input gives the same execution."""
    return start_again(stack, {"n": 1}, {"n": 1})


def start_again(stack: Stack, first: Any, second: Any) -> Any:
    client = stack.boto3("stepfunctions")
    name = f"again-{time.monotonic_ns()}"
    wait = {"Type": "Wait", "Seconds": 5, "End": True}
    definition = {"StartAt": "Wait", "States": {"Wait": wait}}
    machine = client.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=role(stack)
    )["stateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(first))[
        "executionArn"
    ]
    try:
        again = client.start_execution(
            stateMachineArn=machine, name=name, input=json.dumps(second)
        )["executionArn"]
    except ClientError as error:
        return error.response["Error"]["Code"]
    finally:
        client.stop_execution(executionArn=arn)
    return "the same" if again == arn else "another"


def spent_token(stack: Stack) -> Any:
    """A token that timed out answers TaskTimedOut."""
    mark = uuid.uuid4().hex
    run(stack, {"Wait": task(stack, logged_token(mark), callback=True, TimeoutSeconds=1)})
    return code_of_success(stack, logged_tokens(stack, mark)[0], "{}")


def invented_token(stack: Stack) -> Any:
    """A token that was never issued answers InvalidToken."""
    return code_of_success(stack, "invented", "{}")


def output_that_is_not_json(stack: Stack) -> Any:
    """A task's output must be JSON."""
    return code_of_success(stack, "invented", "no json")


def code_of_success(stack: Stack, token: str, output: str) -> Any:
    try:
        stack.boto3("stepfunctions").send_task_success(taskToken=token, output=output)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "accepted"


def stopped_execution_stays_stopped(stack: Stack) -> Any:
    """The end of a task changes nothing about an execution that was stopped during it."""
    client = stack.boto3("stepfunctions")
    arn = start(
        stack,
        {
            "Do": task(stack, {"do": "fail"}, TimeoutSeconds=9)
            | {"Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]}
        },
    )
    time.sleep(0.8)
    client.stop_execution(executionArn=arn)

    def status() -> Any:
        return client.describe_execution(executionArn=arn)["status"]

    try:
        wait_for(lambda: status() != "ABORTED", 15 if stack.stock else 2)
    except TimeoutError:
        return "ABORTED"
    return status()


def alarm_on_metric_math(stack: Stack) -> Any:
    """A template may have an alarm on metric math."""
    metrics = [
        {"Id": "rate", "Expression": "bad / all"},
        *(
            {
                "Id": name,
                "ReturnData": False,
                "MetricStat": {
                    "Stat": "Sum",
                    "Period": 60,
                    "Metric": {"Namespace": "Probe", "MetricName": name},
                },
            }
            for name in ("bad", "all")
        ),
    ]
    alarm = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "Metrics": metrics,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    }
    name, client = f"math-{uuid.uuid4().hex}", stack.boto3("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Alarm": alarm}}))

    def status() -> str:
        return str(client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    wait_for(lambda: not status().endswith("_IN_PROGRESS"), 120)
    return status()


def alarms_on_a_printed_metric(stack: Stack) -> Any:
    """An alarm has the state of what functions print in the embedded metric format."""
    name = f"alarms{uuid.uuid4().hex}"
    settings = {
        "Namespace": "Probe",
        "MetricName": "Lost",
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 3,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    changes: dict[str, dict[str, Any]] = {
        "Reached": {"Dimensions": [{"Name": "service", "Value": name}]},
        "Other": {"Dimensions": [{"Name": "service", "Value": "another"}]},
        "Silent": {"TreatMissingData": "breaching"},
    }
    resources = {
        alarm: {"Type": "AWS::CloudWatch::Alarm", "Properties": settings | own}
        for alarm, own in changes.items()
    }
    body = json.dumps({"Resources": resources})
    stack.boto3("cloudformation").create_stack(StackName=name, TemplateBody=body)
    alarms = stack.boto3("cloudwatch")

    def states() -> dict[str, str]:
        found = alarms.describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]
        return {one["AlarmName"].split("-")[1]: one["StateValue"] for one in found}

    wait_for(lambda: len(states()) == len(changes), 120)
    print_metric(stack, name, [2], 1)
    return states()


def print_metric(stack: Stack, service: str, *values: Any) -> None:
    """Log lines as a function prints them, and one that only looks like them."""
    logs, now = stack.boto3("logs"), int(time.time() * 1000)
    names = {"logGroupName": service, "logStreamName": service}
    logs.create_log_group(logGroupName=service)
    logs.create_log_stream(**names)
    metrics = [{"Name": "Lost", "Unit": "Count"}]
    directive = {"Namespace": "Probe", "Dimensions": [["service"]], "Metrics": metrics}
    about = {"Timestamp": now, "CloudWatchMetrics": [directive]}
    lines = [{"_aws": about, "service": service, "Lost": value} for value in values]
    events = [
        {"timestamp": now, "message": json.dumps(line)}
        for line in [*lines, {"_aws": "", "service": service, "Lost": 9}]
    ]
    logs.put_log_events(**names, logEvents=events)


def token_with_a_word_for_a_date(stack: Stack) -> Any:
    """A signed token with an `exp` that is not a number is refused, not an internal error."""
    headers = stack.bearer("ada", exp="soon")
    return request(stack, "GET", "/things/7", headers=headers).status_code


def transaction_of_another_alphabet(stack: Stack) -> Any:
    """A transaction's size is that of its UTF-8 text: 3 MB are taken, 4.5 MB are not."""
    return write_at_once(stack, items=10), write_at_once(stack, items=15)


def write_at_once(stack: Stack, items: int) -> str:
    """So many items of 300 kB each in one transaction; "written", or the error's code."""
    puts = [
        {
            "Put": {
                "TableName": stack.tables["Table"],
                "Item": {"id": {"S": f"large-{number}"}, "text": {"S": "я" * 150_000}},
            }
        }
        for number in range(items)
    ]
    try:
        stack.boto3("dynamodb").transact_write_items(TransactItems=puts)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "written"


def value_of(stack: Stack, secret: str) -> str:
    """A secret's value, or the error's message."""
    try:
        found = stack.boto3("secretsmanager").get_secret_value(SecretId=secret)
    except ClientError as error:
        return str(error.response["Error"]["Message"])
    return str(found.get("SecretString"))


def secret_without_a_value(stack: Stack) -> Any:
    """A secret that was created without a value has none, until one is written."""
    secrets, name = stack.boto3("secretsmanager"), f"keys-{uuid.uuid4().hex}"
    secrets.create_secret(Name=name)
    before = value_of(stack, name)
    secrets.put_secret_value(SecretId=name, SecretString="written")
    return before, value_of(stack, name)


def secret_of_a_template(stack: Stack) -> Any:
    """A template without a secret's value creates it without one."""
    return value_of(stack, deploy_secret(stack, f"keys-{uuid.uuid4().hex}", {}))


def secret_whose_template_loses_its_value(stack: Stack) -> Any:
    """The owner's value stays if an update of the stack no longer states a value."""
    name = f"keys-{uuid.uuid4().hex}"
    secret = deploy_secret(stack, name, {"SecretString": '{"FAL_KEY": ""}'})
    stack.boto3("secretsmanager").put_secret_value(SecretId=secret, SecretString="the owner's")
    deploy_secret(stack, name, {}, update=True)
    return value_of(stack, secret)


def deploy_secret(
    stack: Stack, name: str, properties: dict[str, str], *, update: bool = False
) -> str:
    """Create or update a stack with one secret. Returns the secret's ARN."""
    client = stack.boto3("cloudformation")
    template = {
        "Resources": {
            "Keys": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"Description": "Keys.", **properties},
            }
        },
        "Outputs": {"Id": {"Value": {"Fn::GetAtt": ["Keys", "Id"]}}},
    }
    deploy = client.update_stack if update else client.create_stack
    deploy(StackName=name, TemplateBody=json.dumps(template))

    def described() -> dict[str, Any]:
        found: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        return found

    wait_for(lambda: not described()["StackStatus"].endswith("_IN_PROGRESS"), 120)
    return str(described()["Outputs"][0]["OutputValue"])


def import_of_a_secret(stack: Stack) -> Any:
    """A stack can be made from a secret that exists."""
    name = f"keys-{uuid.uuid4().hex}"
    secret = stack.boto3("secretsmanager").create_secret(Name=name, SecretString="kept")
    kind = "AWS::SecretsManager::Secret"
    template = {"Resources": {"Keys": {"Type": kind, "DeletionPolicy": "Retain"}}}
    cloudformation, wanted = stack.boto3("cloudformation"), {"StackName": name}
    cloudformation.create_change_set(
        **wanted,
        ChangeSetName="import",
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(template),
        ResourcesToImport=[
            {
                "ResourceType": kind,
                "LogicalResourceId": "Keys",
                "ResourceIdentifier": {"Id": secret["ARN"]},
            }
        ],
    )
    try:
        cloudformation.execute_change_set(**wanted, ChangeSetName="import")
    except ClientError as error:
        return error.response["Error"]["Code"]

    def status() -> str:
        return str(cloudformation.describe_stacks(**wanted)["Stacks"][0]["StackStatus"])

    wait_for(lambda: not status().endswith("_IN_PROGRESS"), 120)
    return status()


def records_that_failed(stack: Stack) -> Any:
    """Records of a stream that a function reports as failed are passed again."""
    dynamodb, name = stack.boto3("dynamodb"), f"stream-{uuid.uuid4().hex}"
    table = dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    mapping = stack.boto3("lambda").create_event_source_mapping(
        EventSourceArn=table["LatestStreamArn"],
        FunctionName=stack.functions["Act"],
        StartingPosition="TRIM_HORIZON",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    times = stack.state_dir / name
    dynamodb.put_item(TableName=name, Item={"id": {"S": "1"}, "file": {"S": str(times)}})

    def passed() -> int:
        return len(times.read_text(encoding="utf-8").splitlines()) if times.exists() else 0

    wait_for(lambda: passed() > 0, 120)
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: passed() > 1, 6)
    stack.boto3("lambda").delete_event_source_mapping(UUID=mapping["UUID"])
    return passed()


def burst_of_calls(stack: Stack) -> Any:
    """Thirty calls at once take no more workers than one function may have."""
    with ThreadPoolExecutor(30) as pool:
        wishes = [{"do": "sleep", "seconds": 0.2}] * 30
        return len(set(pool.map(lambda wish: act(stack, wish), wishes))) <= 2


CASES: list[tuple[Question, Any]] = [
    (route_answers, (200, {"thing": "7"})),
    (route_wants_a_token, 401),
    (failing_function_over_http, (500, {"message": "Internal Server Error"})),
    (preflight, (204, "https://app.example.com")),
    (error_class, "Declined"),
    (stack_trace, [True, 2]),
    (killed_worker, "Runtime.ExitError"),
    (unspeakable_result, "Runtime.MarshalError"),
    (undeclared_import, "No module named 'yaml'"),
    (host_environment, []),
    (silent_call, True),
    (worker_survives_an_exception, True),
    (callback_function_fails, "Declined"),
    (jsonata_timeout_of_a_callback, "States.Timeout"),
    (heartbeat_of_a_callback, "States.HeartbeatTimeout"),
    (fresh_token_per_attempt, (2, 2)),
    (longest_delay_is_kept, "Declined"),
    (retry_by_class_name, "Declined"),
    (catch_by_class_name, "Declined"),
    (execution_timeout, "TIMED_OUT"),
    (runtime_errors_are_not_caught, "States.Runtime"),
    (assignments_see_the_old_values, [2, 1]),
    (same_start_twice, "the same"),
    (spent_token, "TaskTimedOut"),
    (invented_token, "InvalidToken"),
    (output_that_is_not_json, "InvalidOutput"),
    (stopped_execution_stays_stopped, "ABORTED"),
    (alarm_on_metric_math, "CREATE_COMPLETE"),
    (
        alarms_on_a_printed_metric,
        {"Reached": "ALARM", "Other": "OK", "Silent": "INSUFFICIENT_DATA"},
    ),
    (token_with_a_word_for_a_date, 401),
    (transaction_of_another_alphabet, ("written", "ValidationException")),
    (secret_without_a_value, (NO_VALUE, "written")),
    (secret_of_a_template, NO_VALUE),
    (secret_whose_template_loses_its_value, "the owner's"),
    (import_of_a_secret, "IMPORT_COMPLETE"),
    (records_that_failed, 2),
    (burst_of_calls, True),
]
EACH = pytest.mark.parametrize(("ask", "on_aws"), CASES, ids=[ask.__name__ for ask, _ in CASES])


@EACH
def test_our_emulator_answers_as_aws_does(stack: Stack, ask: Question, on_aws: Any) -> None:
    assert ask(stack) == on_aws


@EACH
def test_upstream_still_needs_the_correction(stock: Stack, ask: Question, on_aws: Any) -> None:
    assert ask(stock) != on_aws, f"fixed upstream, the correction can go: {ask.__doc__}"


def test_another_input_under_a_running_name_is_refused(stack: Stack) -> None:
    assert start_again(stack, {"n": 1}, {"n": 2}) == "ExecutionAlreadyExists"
