"""Cognito's pool, if it is created: user names, e-mails, who may sign up, and its price."""

from __future__ import annotations

from typing import Any

from tests.support.reading import of_type, written


def pool() -> dict[str, Any]:
    return of_type(written()["Resources"], "AWS::Cognito::UserPool")["UserPool"]


def parameter(name: str) -> dict[str, Any]:
    found = written()["Parameters"][name]
    assert isinstance(found, dict)
    return found


def test_an_address_in_other_letters_is_the_same_user() -> None:
    # A pool is case-sensitive by default, and this cannot be changed after its creation.
    assert pool()["UsernameConfiguration"] == {"CaseSensitive": False}


def test_e_mails_are_sent_with_the_owners_ses_identity_if_there_is_one() -> None:
    condition, with_ses, without = pool()["EmailConfiguration"]["Fn::If"]
    assert written()["Conditions"][condition] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "SignInEmailIdentity"}, ""]}]
    }
    assert with_ses == {
        "EmailSendingAccount": "DEVELOPER",
        "From": {"Ref": "SignInEmailFrom"},
        "SourceArn": {"Ref": "SignInEmailIdentity"},
    }
    assert without == {"EmailSendingAccount": "COGNITO_DEFAULT"}


def test_a_sender_without_an_identity_is_refused_before_anything_changes() -> None:
    rule = written()["Rules"]["ASenderNeedsAnIdentity"]
    for name in ("SignInEmailFrom", "SignInEmailIdentity"):
        assert {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} in rule["RuleCondition"]["Fn::Or"]
        (assertion,) = rule["Assertions"]
        assert {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} in assertion["Assert"]["Fn::And"]


def test_the_owner_can_close_the_sign_up() -> None:
    allowed = pool()["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"]
    assert allowed == {"Fn::If": ["ClosedSignUp", True, False]}
    assert written()["Conditions"]["ClosedSignUp"] == {"Fn::Equals": [{"Ref": "SignUp"}, "closed"]}
    assert (parameter("SignUp")["Default"], parameter("SignUp")["AllowedValues"]) == (
        "open",
        ["open", "closed"],
    )


def test_the_cheapest_plan_is_the_default() -> None:
    assert pool()["UserPoolTier"] == {"Ref": "SignInTier"}
    assert parameter("SignInTier")["Default"] == "LITE"


def test_nothing_needs_a_more_expensive_plan() -> None:
    # What AWS lists as features of the other plans (feature-plans-deactivate in its guide).
    assert {
        "LambdaConfig",
        "UserPoolAddOns",
        "EmailAuthenticationMessage",
        "WebAuthnUserVerification",
    }.isdisjoint(pool())
    policies = pool()["Policies"]
    assert policies.keys() == {"PasswordPolicy"}
    assert "PasswordHistorySize" not in policies["PasswordPolicy"]
    domain = of_type(written()["Resources"], "AWS::Cognito::UserPoolDomain")["UserPoolDomain"]
    assert "ManagedLoginVersion" not in domain
    for client in of_type(written()["Resources"], "AWS::Cognito::UserPoolClient").values():
        assert "ALLOW_USER_AUTH" not in client.get("ExplicitAuthFlows", [])
