"""The faults of `make mutants`, which takes too long to run with the tests: each still has a line to change."""

import pytest
from mutants import MUTANTS, ROOT, place


@pytest.mark.parametrize("fault", MUTANTS, ids=[fault[0] for fault in MUTANTS])
def test_the_line_to_change_is_there(fault: tuple[str, str, str, str]) -> None:
    _, file, right, wrong = fault
    source = (ROOT / "src" / place(file)).read_text(encoding="utf-8")
    assert right in source
    assert source.replace(right, wrong) != source
