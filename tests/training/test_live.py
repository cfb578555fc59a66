# SPDX-License-Identifier: MPL-2.0
"""The live line of an epoch: what it shows at which width, and where it shows nothing."""

import io
import math
import sys

import pytest
from tqdm import tqdm

from srnn.training.live import LiveLine, LiveState, live_line

STATE = LiveState(0.5123, 0.8411, 0.0482, 1602.3, 720.0)
TEXTS = ["loss 0.512", "acc. 84.1%", "12min left", "firing 0.048", "1602 clips/s"]


class Terminal(io.StringIO):
    """A terminal, of as many columns as ``COLUMNS`` says."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    """Return the lines of a terminal after what was written to it."""
    lines, column = [""], 0
    for char in written:
        if char == "\n":
            lines.append("")
            column = 0
        elif char == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column] + char + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def test_what_is_not_known_is_left_out() -> None:
    assert STATE.parts() == TEXTS
    assert LiveState().parts() == []
    assert STATE._replace(firing_rate=math.nan, loss=None).parts() == [
        *("acc. 84.1%", "12min left", "1602 clips/s")
    ]


@pytest.mark.parametrize("epoch", ["3/9", " 3/30", "300/300"])
def test_everything_fits_into_80_columns(epoch: str) -> None:
    line = live_line(f"epoch {epoch}", 45, 100, TEXTS, 78)
    assert len(line) <= 78
    for text in (f"epoch {epoch}", *TEXTS):
        assert text in line


def test_a_wide_terminal_has_a_bar() -> None:
    line = live_line("epoch  3/30", 45, 100, TEXTS, 198)
    assert len(line) == 198
    assert line.startswith("epoch  3/30  45%|███")
    assert line.endswith(f"| {', '.join(TEXTS)}")
    bar = line.split("|")[1]
    assert bar.count("█") / len(bar) == pytest.approx(0.45, abs=0.02)
    assert live_line("epoch 3/30", 45, 100, TEXTS, 198, ascii_only=True).isascii()


def test_a_narrow_terminal_lacks_the_less_important_end() -> None:
    shown = []
    for width in range(1, 140):
        line = live_line("epoch 3/30", 45, 100, TEXTS, width)
        assert len(line) <= width
        shown.append([text for text in TEXTS if text in line])
        assert shown[-1] == TEXTS[: len(shown[-1])]
    assert [len(texts) for texts in shown] == sorted(len(texts) for texts in shown)
    assert shown[-1] == TEXTS


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_line_is_below_the_log_and_vanishes(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (columns - 1, 24))
    with LiveLine("1/2", 10, 0) as line:
        assert line.is_shown
        for step in range(1, 6):
            line.show(step, STATE)
        assert screen(terminal.getvalue())[0].startswith("epoch 1/2")
        assert all(len(each) < columns for each in screen(terminal.getvalue()))
        tqdm.write("a warning", file=terminal)
        first, second = screen(terminal.getvalue())
        assert first == "a warning"
        assert second.startswith("epoch 1/2")
        terminal.write("^C")  # what a terminal does where the cursor is
    assert screen(terminal.getvalue()) == ["a warning", ""]


def test_nothing_is_shown_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveLine("1/2", 10, 0) as line:
        assert not line.is_shown
        assert not line.is_due()
    assert capsys.readouterr() == ("", "")


def test_a_line_is_due_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("srnn.training.live.time.monotonic", lambda: now)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with LiveLine("1/2", 10, 0) as line:
        assert not line.is_due()
        now += 0.3
        assert line.is_due()
        line.show(1, STATE)
        assert not line.is_due()
