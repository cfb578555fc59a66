# SPDX-License-Identifier: MPL-2.0
"""The report of an evaluation, on a terminal of 80 columns."""

from srnn.runs.evaluation_text import to_text
from srnn.training.evaluation import Evaluation


def test_many_confusions_break_below_each_other() -> None:
    labels = tuple(f"word{number:02}" for number in range(20))
    confusion = tuple(tuple(10 + row + column for column in range(20)) for row in range(20))
    text = to_text(Evaluation("testing", labels, confusion, 1.0, (0.1,), 5.0, None, {}))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    table = lines[lines.index(next(line for line in lines if "taken for" in line)) + 1 :]
    assert [line.split()[0] for line in table if line[0] != " "] == list(labels)
    joined = " ".join(" ".join(line.split()) for line in table)
    assert "word00 390 2.6% word01 11, word02 12, word03 13," in joined
    start = table[0].index("word01")
    assert table[1].index("word") == start
