# SPDX-License-Identifier: MPL-2.0
"""The file of a sweep: what it says, and one line for everything that is wrong with it."""

from pathlib import Path

import pytest
from sweeping import go_to

from srnn import cli
from srnn.config import load
from srnn.errors import InputError
from srnn.sweeps.reading import read_sweep
from srnn.sweeps.space import Choices, Range

pytest.importorskip("optuna", reason="needs optuna, group `sweep`")

SWEEP = '[sweep]\nbase = "tones.toml"\ntrials = 3\n'


@pytest.fixture(autouse=True)
def _here(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to(tmp_path / "here", tones, monkeypatch)


def problems(text: str) -> list[str]:
    Path("my.toml").write_text(text)
    with pytest.raises(InputError) as error:
        read_sweep("my.toml")
    return str(error.value).split("\n")


def test_every_value_reaches_its_configuration() -> None:
    Path("my.toml").write_text(
        SWEEP + "[set]\nsrnn.epochs = 7\n[keys]\nsrnn.network_size = [8, [16, 8]]\n"
        "srnn.dropout = {low = 0, high = 0.5, step = 0.25}\n"
        "srnn.learning_rate = {low = 1e-3, high = 1e-1, log = true}\n"
        "srnn.batch_size = {low = 8, high = 32}\n"
    )
    sweep = read_sweep("my.toml")
    network, dropout, rate, batch = sweep.space.values()
    assert isinstance(network, Choices)
    assert isinstance(batch, Range)
    assert batch.is_integer
    assert not dropout.is_integer if isinstance(dropout, Range) else False
    assert dropout.grid() == [0.0, 0.25, 0.5]
    assert rate.grid() is None
    params = {
        "srnn.network_size": "[16, 8]",
        "srnn.dropout": 0.25,
        "srnn.learning_rate": 0.01,
        "srnn.batch_size": 8,
    }
    config = sweep.config(params, seed=5)
    assert config.srnn.layer_sizes == (16, 8)
    assert (config.srnn.dropout, config.srnn.learning_rate) == (0.25, 0.01)
    assert (config.srnn.batch_size, config.srnn.epochs, config.srnn.seed) == (8, 7, 5)
    assert config.srnn.threshold == load("tones.toml").srnn.threshold


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "sweep.base: expected a configuration, found none"),
        (SWEEP, "keys: expected keys to vary, such as srnn.learning_rate = [1e-3, 3e-3]"),
        (SWEEP + "sampler = 'lattice'\n", 'sweep.sampler: expected "grid", "random" or "tpe"'),
        (SWEEP + "trails = 3\n", "sweep.trails: unknown key; did you mean trials?"),
        (SWEEP + "storage = 'mysql://a'\n", 'sweep.storage: expected a server "postgresql://USER'),
        (SWEEP + "[key]\n", "key: unknown table or key; the tables are [sweep]"),
        (SWEEP + "[pruning]\nmethod = 'median'\n", 'pruning.method: expected "none"'),
        (SWEEP + "[keys]\nlearning_rate = [1]\n", "keys.learning_rate: expected TABLE.KEY"),
        (SWEEP + "[keys]\nsrnn.learning_rat = [1.0]\n", "keys.srnn.learning_rat: unknown key; did"),
        (SWEEP + "[keys]\nsrnn.epochs = [3, 0]\n", "keys.srnn.epochs: expected an integer"),
        (SWEEP + "[keys]\nsrnn.epochs = [3, 3]\n", "keys.srnn.epochs: expected distinct values"),
        (SWEEP + "[keys]\nsrnn.epochs = 3\n", "keys.srnn.epochs: expected a list of values or a"),
        (SWEEP + "[keys]\nsrnn.seed = [3]\n", "keys.srnn.seed: expected another key: sweep.seeds"),
        (
            SWEEP + "[keys]\nsrnn.dropout = {low = 0.1, hihg = 1}\n",
            "keys.srnn.dropout: high: expected a number, found none",
        ),
        (
            SWEEP + "[keys]\nsrnn.dropout = {low = 0.1, high = 0}\n",
            "keys.srnn.dropout: high: expected a number >= low = 0.1, found 0",
        ),
        (
            SWEEP + "[keys]\nsrnn.dropout = {low = 0, high = 0.1, log = true}\n",
            "keys.srnn.dropout: low: expected a number > 0 beside log = true, found 0",
        ),
        (
            SWEEP + "[keys]\nsrnn.dropout = {low = 0.1, high = 0.2, lg = true}\n",
            "keys.srnn.dropout: lg: unknown key; did you mean log?",
        ),
        (
            SWEEP + "[keys]\nsrnn.dropout = {low = -1, high = 0.1}\n",
            "keys.srnn.dropout: expected a number >= 0",
        ),
        (
            SWEEP + "[set]\nsrnn.epochs = 3\n[keys]\nsrnn.epochs = [3]\n",
            "set.srnn.epochs: expected a key that [keys] does not vary",
        ),
        (
            SWEEP + "[set]\nsrnn.epochs = -3\n[keys]\nsrnn.dropout = [0.1]\n",
            "set.srnn.epochs: expected an integer",
        ),
        (
            SWEEP + "sampler = 'grid'\n[keys]\nsrnn.dropout = {low = 0, high = 0.1}\n",
            'keys.srnn.dropout: expected a list, or a range with a step, beside sampler = "grid"',
        ),
        (
            SWEEP + "sampler = 'grid'\n[keys]\nsrnn.size = {low = 1000, high = 90000}\n",
            "keys: expected a grid of at most 10,000 settings, found 89,001",
        ),
        (
            SWEEP + "sampler = 'grid'\n[keys]\nmel.hop = [10.0]\nmel.window = [30.0, 5.0]\n",
            "keys.mel.hop: expected",
        ),
        (
            "[sweep]\nbase = 'tones.toml'\n[keys]\nsrnn.dropout = [0.1]\n",
            'sweep.trials: expected trials or hours beside sampler = "tpe", found neither',
        ),
        (
            SWEEP + "spikes = true\n[pruning]\nmethod = 'asha'\n[keys]\nsrnn.dropout = [0.1]\n",
            'pruning.method: expected "none" beside sweep.spikes = true',
        ),
    ],
)
def test_what_is_wrong_is_named_before_anything_trains(text: str, expected: str) -> None:
    found = problems(text)
    assert any(line.startswith(f"my.toml: {expected}") for line in found), found
    assert not Path("sweeps").exists()


def test_the_command_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.toml").write_text(SWEEP + "[keys]\nsrnn.epochs = [0.5]\n")
    assert cli.run(["sweep", "my.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == ("my.toml: keys.srnn.epochs: expected an integer from 1 to 1000000, found 0.5")


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("srnn.packages.find_spec", lambda _name: None)
    assert cli.run(["sweep", "my.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "srnn sweep: expected the package optuna, found none: run `pip install optuna "
        "'psycopg[binary]' sqlalchemy` (or `pdm install -G sweep`)"
    )
