"""A payment ends the same for each order of its reports, however often each arrives."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.purchases.payment import Payment, Refunded, Withdrawn

Fact = Refunded | Withdrawn

facts = st.lists(
    st.one_of(
        st.builds(Refunded, st.integers(0, 1_200), st.just(1_000)),
        st.builds(Withdrawn, st.booleans(), st.sampled_from(["dp_1", "dp_2"]), st.integers(0, 2)),
    ),
    max_size=6,
)


def after(reports: list[Fact], credits_: int = 500) -> Payment:
    payment = Payment("stripe", "pi_1", credits=credits_)
    for fact in reports:
        payment = payment.after(fact)
    return payment


@given(facts, st.randoms(), st.integers(1, 10_000))
def test_the_order_and_the_number_of_reports_do_not_matter(
    reports: list[Fact], chance: object, credits_: int
) -> None:
    again = [*reports, *reports]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert after(again, credits_) == after(reports, credits_)
    assert 0 <= after(reports, credits_).to_take <= credits_


@pytest.mark.parametrize(
    ("reports", "taken"),
    [
        ([], 0),
        ([Refunded(1_000, 1_000)], 500),
        ([Refunded(1_500, 1_000)], 500),
        ([Refunded(1, 1_000)], 0),
        ([Refunded(2, 1_000)], 1),
        ([Refunded(999, 1_000)], 499),
        ([Withdrawn()], 500),
        ([Withdrawn(), Refunded(1_000, 1_000)], 500),
        ([Withdrawn(returned=True)], 0),
        ([Withdrawn(returned=True), Refunded(500, 1_000)], 250),
        ([Withdrawn(returned=True, case="dp_1"), Withdrawn(case="dp_2")], 500),
        ([Withdrawn(case="dp_2"), Withdrawn(returned=True, case="dp_1")], 500),
        ([Withdrawn(returned=True, at=2), Withdrawn(at=1), Withdrawn(at=3)], 500),
        ([Withdrawn(at=3), Withdrawn(returned=True, at=4)], 0),
    ],
)
def test_how_much_is_taken_back(reports: list[Fact], taken: int) -> None:
    assert after(reports).to_take == taken


def test_what_is_not_credited_yet_cannot_be_taken() -> None:
    refunded = after([Refunded()], credits_=0)
    assert refunded.to_take == 0
    assert replace(refunded, credits=500).to_take == 500
