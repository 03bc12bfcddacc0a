"""With IAM enforced, a function may do what its role allows and nothing else."""

from local.stack import Stack, wait_for
from tests.integration.emulator.small_app import act, start, task


def test_a_function_does_what_its_role_allows(guarded: Stack) -> None:
    assert act(guarded, {"do": "write", "id": "allowed"}) == "written"


def test_a_function_without_a_permission_is_refused(guarded: Stack) -> None:
    answer = act(guarded, {"do": "write", "id": "refused"}, "ActWithMedia")
    assert answer["errorType"] == "ClientError"
    assert "AccessDenied" in answer["errorMessage"]


def test_a_callback_is_allowed_to_the_state_machine_it_belongs_to_only(guarded: Stack) -> None:
    wish = {"do": "shout", "words": "{% 'token ' & $states.context.Task.Token %}"}
    execution = start(guarded, {"Wait": task(guarded, wish, callback=True, TimeoutSeconds=20)})
    (line,) = wait_for(
        lambda: [line for line in guarded.logs("Act") if line.startswith("token ")], 60
    )
    finished = act(guarded, {"do": "finish", "token": line.split()[1]})
    assert finished == "AccessDeniedException"  # Act's role names another state machine
    guarded.boto3("stepfunctions").stop_execution(executionArn=execution)
