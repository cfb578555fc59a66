# SPDX-License-Identifier: MPL-2.0
"""Thousands of broken configurations: each is read and written back the same, or refused."""

import shutil
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

import pytest
import tomli_w
from fuzzing import command, damaged, expect_proper, fuzz, outcome, unchanged
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from srnn.config import Config, load, to_toml

ROOT = Path(__file__).parents[2]
FILE = Path("config.toml")
REFERENCE = (ROOT / "configs" / "config-v1-cuda.toml").read_bytes()
EVERY_KEY = to_toml(Config()).encode()
STARTS = ("config.toml: ", "--set ")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def is_read(content: bytes, overrides: Sequence[str] = ()) -> bool:
    """Return whether a configuration is read, having checked what must then come of it."""
    FILE.write_bytes(content)
    with unchanged(Path.cwd()):
        config = outcome(lambda: load(FILE, overrides), *STARTS)
        arguments = [f"--set={override}" for override in overrides]
        code, printed, complaint = command("config", FILE, *arguments)
    assert (code, bool(complaint)) == ((0, False) if config else (2, True))
    if config is None:
        expect_proper(complaint.removesuffix("\n"), *STARTS)
        return False
    assert printed == to_toml(config)
    FILE.write_bytes(printed.encode())
    assert load(FILE) == config
    assert to_toml(load(FILE)) == printed
    return True


def test_damaged_bytes(full: bool) -> None:
    files = damaged(REFERENCE) | damaged(EVERY_KEY)
    fuzz(
        "configurations, bytes",
        files,
        is_read,
        5_000 if full else 80,
        valid=[REFERENCE, EVERY_KEY],
        full=full,
    )


# Places and values are TOML as one would write it.

DEFAULTS = {
    table: {key: literal for key, _, literal in (line.partition(" = ") for line in lines)}
    for table, *lines in (
        [block.partition("]")[0].removeprefix("["), *block.splitlines()[1:]]
        for block in EVERY_KEY.decode().split("\n\n")
    )
}
KNOWN = [(table, key) for table, keys in DEFAULTS.items() for key in keys]
TYPICAL = sorted({literal for keys in DEFAULTS.values() for literal in keys.values()})
Place = tuple[str, str]
Change = tuple[Place, str]


def literal(value: object) -> str:
    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")


def lists_and_tables(values: SearchStrategy[str]) -> SearchStrategy[str]:
    items = st.lists(values, max_size=4).map(", ".join)
    keys = st.text(max_size=5).map(literal)
    pairs = st.dictionaries(keys, values, max_size=3).map(
        lambda table: ", ".join(f"{key} = {value}" for key, value in table.items())
    )
    return items.map("[{}]".format) | pairs.map("{{{}}}".format)


scalars = st.one_of(
    st.sampled_from(TYPICAL),
    st.integers().map(str),
    st.integers(60, 20_000).flatmap(lambda bits: st.sampled_from([hex(2**bits), "8" * bits])),
    st.floats().map(str),
    st.text(max_size=70).map(literal),
    st.datetimes(timezones=st.none() | st.just(UTC)).map(lambda time: time.isoformat()),
    st.dates().map(str),
    st.times().map(str),
    st.sampled_from(["", "yes", "0o17", "1_000", '"""\na\n"""', "'\\'", "{", "[" * 2_000]),
)
values = st.recursive(scalars, lists_and_tables, max_leaves=8)
numbers = st.integers(0, 9_999).map(str) | st.floats(0, 1).map(str)


def akin(default: str) -> SearchStrategy[str]:
    """Return values of the type of a key's default: many of them will do."""
    match default[0]:
        case "t" | "f":
            return st.sampled_from(["true", "false"])
        case '"':
            return st.text(min_size=1, max_size=8).map(literal)
        case "[" if '"' in default:
            return st.lists(akin('"'), min_size=2, max_size=3).map(", ".join).map("[{}]".format)
        case "[":
            return st.lists(numbers, min_size=2, max_size=3).map(", ".join).map("[{}]".format)
    return numbers


def change_of(place: Place) -> SearchStrategy[Change]:
    table, key = place
    return st.tuples(st.just(place), akin(DEFAULTS[table][key]) | values)


names = st.sampled_from([name for place in KNOWN for name in place]) | st.text(max_size=8)
known_changes = st.sampled_from(KNOWN).flatmap(change_of)
odd_changes = st.tuples(st.tuples(names, names), values)
changes = st.integers(0, 9).flatmap(lambda die: known_changes if die else odd_changes)
overrides = st.one_of(
    changes.map(lambda change: f"{'.'.join(change[0])}={change[1]}"),
    st.text(st.characters(exclude_characters="\0"), max_size=20),
)


def document(changes: Sequence[Change]) -> bytes:
    """Return every key and its default, but for the changes."""
    tables = {table: dict(keys) for table, keys in DEFAULTS.items()}
    for (table, key), value in changes:
        tables.setdefault(table, {})[key] = value
    return "\n".join(
        f"[{literal(table)}]\n"
        + "".join(f"{literal(key)} = {value}\n" for key, value in keys.items())
        for table, keys in tables.items()
    ).encode()


def test_odd_values(full: bool) -> None:
    fuzz(
        "configurations, values",
        st.tuples(st.lists(changes, max_size=3), st.lists(overrides, max_size=2)),
        lambda case: is_read(document(case[0]), case[1]),
        5_000 if full else 80,
        valid=[([], []), ([], ["srnn.epochs=3"])],
        full=full,
    )


NUMBERS = [
    (key, item)
    for key in KNOWN
    if key not in {("srnn", "epochs"), ("srnn", "size")}  # as long, as much memory as one asks for
    for item in DEFAULTS[key[0]][key[1]].strip("[]").split(", ")
    if item[:1].isdigit()
]
EXTREMES = ["0", "1", "-1", "5e-324", "1e-45", "1e-38", "1000", "1000.0", "1000000"]
EXTREMES += ["1e38", "1e39", "1.7e308", "2147483648", "9223372036854775808", hex(2**20_000)]


@pytest.mark.filterwarnings("ignore:Empty filters")  # librosa, of bands that are legal
def test_extreme_numbers_train_or_are_refused(tones: Path, full: bool) -> None:
    def trains(case: tuple[tuple[Place, str], str]) -> bool:
        ((table, key), item), extreme = case
        value = DEFAULTS[table][key].replace(item, extreme, 1)
        shutil.rmtree("run", ignore_errors=True)
        code, _, complaint = command(
            *(tones / "tones.toml", "--run-dir", "run"),
            *(f"--set=data.dataroot={tones / 'tones'}", "--set=srnn.epochs=1"),
            f"--set={table}.{key}={value}",
            codes=(0, 1, 2),
        )
        last_line = complaint.splitlines()[-1]
        if code == 2:
            expect_proper(last_line, *STARTS, f"{tones / 'tones.toml'}: ")
        assert code != 1 or "expected finite numbers" in last_line
        return code != 2

    fuzz(
        "configurations, trained",
        st.tuples(st.sampled_from(NUMBERS), st.sampled_from(EXTREMES)),
        trains,
        300 if full else 4,
        valid=[((("srnn", "seed"), "0"), "1")],
        full=full,
    )
