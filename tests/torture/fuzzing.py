# SPDX-License-Identifier: MPL-2.0
"""What the fuzz tests share: inputs by the thousand, and what every one of them must keep to.

An input works, or is refused in lines that name it; it takes neither long nor much memory, and
leaves the files around it as they were. `fuzz` runs the inputs, `outcome` and `command` hold one
to this, `damaged` makes inputs of bytes.
"""

import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import reduce
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from srnn import cli
from srnn.errors import InputError

T = TypeVar("T")

_SECONDS = 20
_KILOBYTES = 512 << 10  # of memory that an input may take; the first one loads the libraries

_Edit = Callable[[bytes, int, int, bytes], bytes]


def fuzz(
    what: str,
    inputs: SearchStrategy[T],
    works: Callable[[T], bool],
    count: int,
    *,
    valid: Iterable[T],
    full: bool,
) -> None:
    """Call ``works`` with inputs and print for how many it was true; the rest were refused.

    The ``valid`` ones must work. The short form is the same every time; the full form is random
    and prints what repeats it.
    """
    assert all(works(example) for example in valid)
    tally: Counter[bool] = Counter()

    @settings(
        max_examples=count,
        derandomize=not full,
        database=None,
        deadline=None,  # `_bounded` watches the time
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],  # checks that take milliseconds add up
        print_blob=True,
    )
    @given(inputs)
    def try_one(example: T) -> None:
        tally[works(example)] += 1

    try_one()
    report = f"{what}: {tally.total()} tried, {tally[True]} worked, {tally[False]} refused"
    sys.stdout.write(f"\n{report}\n")
    assert tally.total() >= count
    assert tally[False]


def outcome(action: Callable[[], T], *starts: str) -> T | None:
    """Return what ``action`` returns, or None where it refuses its input.

    Each line of a refusal must begin with one of ``starts``, say more than that, and print.
    """
    try:
        with _bounded():
            return action()
    except InputError as error:
        expect_proper(str(error), *starts)
    return None


def command(*arguments: str | Path, codes: tuple[int, ...] = (0, 2)) -> tuple[int, str, str]:
    """Run ``srnn`` in this process; return its exit code, one of ``codes``, and what it printed."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err, _bounded():
        code = cli.run([str(argument) for argument in arguments])
    assert code in codes, err.getvalue()
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return code, out.getvalue(), err.getvalue()


def expect_proper(message: str, *starts: str) -> None:
    """Check the lines of a message as `outcome` does."""
    for line in message.split("\n"):
        assert line.isprintable(), repr(line)
        assert any(line.startswith(start) and line != start for start in starts), repr(line)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Check that a folder is afterwards what it was: names, kinds, contents, links."""
    before = _snapshot(folder)
    yield
    assert _snapshot(folder) == before


def damaged(content: bytes) -> SearchStrategy[bytes]:
    """Return ``content`` with bytes changed, lost, added or moved, often at its ends."""
    size = len(content)
    place = (
        st.integers(0, min(64, size)) | st.integers(0, size) | st.integers(max(0, size - 64), size)
    )
    kinds: list[_Edit] = [_flip, _overwrite, _insert, _delete, _repeat, _move, _cut]
    new = st.binary(min_size=1, max_size=8) | st.sampled_from(_INTERESTING)
    edits = st.lists(st.tuples(st.sampled_from(kinds), place, place, new), min_size=1, max_size=4)

    def damage(edits: list[tuple[_Edit, int, int, bytes]]) -> bytes:
        return reduce(lambda data, edit: edit[0](data, *edit[1:]), edits, content)

    return edits.map(damage).filter(lambda data: data != content)


# Numbers at the limits of 16 and 32 bits, in either byte order.
_INTERESTING = [
    number.to_bytes(4, order)
    for number in (0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
    for order in ("little", "big")
]


def _flip(data: bytes, at: int, other: int, _new: bytes) -> bytes:
    return _overwrite(data, at, other, bytes(byte ^ 1 << other % 8 for byte in data[at : at + 1]))


def _overwrite(data: bytes, at: int, _other: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _insert(data: bytes, at: int, _other: int, new: bytes) -> bytes:
    return data[:at] + new + data[at:]


def _delete(data: bytes, at: int, other: int, _new: bytes) -> bytes:
    return data[: min(at, other)] + data[max(at, other) :]


def _repeat(data: bytes, at: int, other: int, _new: bytes) -> bytes:
    return data[: max(at, other)] + data[min(at, other) :]


def _move(data: bytes, at: int, other: int, new: bytes) -> bytes:
    piece = data[at : at + 8 * len(new)]
    return _insert(data[:at] + data[at + len(piece) :], other, 0, piece)


def _cut(data: bytes, at: int, _other: int, _new: bytes) -> bytes:
    return data[:at]


@contextmanager
def _bounded() -> Iterator[None]:
    """Fail what takes too long or too much memory."""

    def stop(_number: int, _frame: object) -> None:
        raise AssertionError(f"took longer than {_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _peak_kilobytes()
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    taken = _peak_kilobytes() - before
    assert taken < _KILOBYTES, f"took {taken} kB of memory"


def _peak_kilobytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _snapshot(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    content: dict[str, tuple[int, bytes | str]] = {}
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in [*folders, *files]):
            kept: bytes | str = b""
            if path.is_symlink():
                kept = str(path.readlink())
            elif path.is_file():
                kept = path.read_bytes()
            content[str(path)] = path.lstat().st_mode, kept
    return content
