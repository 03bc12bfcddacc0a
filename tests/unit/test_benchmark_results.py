"""The output of the benchmarks: the table, the details, the verdict and the document."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import Measured, details, document, number, over_budget, table
from benchmarks.results import Figure

SLOW = Figure("throughput", 0.79, "x bare pipe", budget=0.8, at_least=True, note="79 beside 100")
MEASURED = {
    "migrate": Measured([Figure("memory", 64, "MiB", budget=64), SLOW], 60.0),
    "ledger": Measured([Figure("changes", 123.456, "per second")], 30.0),
}


def test_a_budget_is_the_most_or_the_least_that_is_allowed() -> None:
    assert [
        [figure.over_budget for figure in measured.figures] for measured in MEASURED.values()
    ] == [[False, True], [False]]
    assert over_budget(MEASURED) == 1


def test_the_table_marks_figures_over_budget_and_has_aligned_short_cells() -> None:
    assert table(MEASURED).splitlines() == [
        "|     | figure              | value | unit        | budget |",
        "| --- | ------------------- | ----: | ----------- | -----: |",
        "|     | migrate: memory     |    64 | MiB         |   ≤ 64 |",
        "| ✗   | migrate: throughput |  0.79 | x bare pipe |  ≥ 0.8 |",
        "|     | ledger: changes     |   123 | per second  |        |",
    ]


def test_details_have_one_line_per_figure_with_a_note() -> None:
    assert details(MEASURED) == "- **migrate: throughput**: 79 beside 100"


def test_the_document_in_the_repository_has_short_cells() -> None:
    rows = [line for line in bench.DOCUMENT.read_text().splitlines() if line.startswith("|     |")]
    assert len(rows) > 100
    assert max(map(len, rows)) <= 130


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (5.0, "5"), (1024, "1024"), (0.0123456, "0.0123"), (1.75, "1.75"), (352.6, "353")],
)
def test_a_number_has_only_significant_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_document_names_the_computer_and_the_command() -> None:
    text = document({"processor": "test processor, 2 cores"}, MEASURED)
    assert "| processor | test processor, 2 cores |" in text
    assert "| command | `make bench`, 2 minutes |" in text
    assert table(MEASURED) in text
    assert f"\n\n## Details\n\n{details(MEASURED)}\n\n" in text
    assert "\n\nover budget: 1\n\n" in text
    assert "## migrate\n\nThe speed and memory of the copy" in text
    assert "## ledger\n\nThe rate of holds " in text


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that measure nothing: one is over its budget."""
    part = SimpleNamespace(measure=lambda _: [SLOW])
    monkeypatch.setattr(bench, "importlib", SimpleNamespace(import_module=lambda _: part))


@pytest.mark.usefixtures("fast")
def test_the_last_line_counts_what_is_over_and_only_strict_fails_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["--only", "ledger", "--only", "clips"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "over budget: 2"
    assert bench.main(["--only", "ledger", "--strict"]) == 1


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("less", [["--quick"], ["--only", "ledger"]])
def test_only_a_complete_run_writes_the_document(less: list[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--write", *less])
