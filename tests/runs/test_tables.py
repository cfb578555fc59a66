# SPDX-License-Identifier: MPL-2.0
"""Tables of text, and where they break."""

from srnn.runs.tables import text_table


def test_columns_are_flush_right() -> None:
    assert text_table([["", "a", "long"], ["seed-0", "12", "3"]], keys=1).splitlines() == [
        "         a  long",
        "seed-0  12     3",
    ]


def test_a_wide_table_breaks_into_parts_that_begin_with_its_keys() -> None:
    heads = ["H", "B", *(f"column {number:02}" for number in range(12))]
    cells = ["256", "32", *(str(number) for number in range(12))]
    parts = text_table([heads, cells], keys=2).split("\n\n")
    assert len(parts) == 2
    found = []
    for part in parts:
        head, line = part.splitlines()
        assert len(head) <= 80
        assert head.split()[:2] == ["H", "B"]
        assert line.split()[:2] == ["256", "32"]
        found += line.split()[2:]
    assert found == cells[2:]


def test_a_column_wider_than_a_terminal_is_kept_whole() -> None:
    parts = text_table([["k", "w", "x"], ["1", "y" * 100, "2"]], keys=1).split("\n\n")
    assert [part.splitlines()[1].split() for part in parts] == [["1", "y" * 100], ["1", "2"]]
