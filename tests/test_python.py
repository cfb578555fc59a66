# SPDX-License-Identifier: MPL-2.0
"""What `import srnn` offers: training, evaluating, recording and exporting without the command."""

import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tomli
import torch

import srnn
from run_results import assert_same_results
from srnn.config import Config, load, to_toml
from srnn.data import audio
from srnn.data.workers import without_main
from srnn.features.reference import MelKeys
from srnn.network.model import Output
from srnn.training.batch import Batch
from srnn.training.interrupt import Interrupted
from srnn.training.step import Step

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that went to its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tones)
        return srnn.train("tones.toml", tmp_path_factory.mktemp("runs") / "finished").path


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)


def tables(**srnn_keys: Any) -> dict[str, dict[str, Any]]:
    """Return the tables of tones.toml, with keys of [srnn] changed."""
    config = tomli.loads(Path("tones.toml").read_text())
    return config | {"srnn": config["srnn"] | srnn_keys}


def stop_after(steps: int, number: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """Let a signal come within the given step of training."""
    real_step, done = Step.__call__, iter(range(1, 10_000))

    def step(self: Step, batch: Batch) -> None:
        if next(done) == steps:
            signal.raise_signal(number)
        real_step(self, batch)

    patch.setattr(Step, "__call__", step)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )


def test_names_are_there_and_importing_them_waits_for_nothing() -> None:
    program = (
        "import sys, srnn; srnn.InputError; print({'train', 'load'} < {*dir(srnn)}, "
        "*(each in sys.modules for each in ('torch', 'numpy', 'pydantic')))"
    )
    assert python("-c", program).stdout == "True False False False\n"
    for name in srnn.__all__:
        assert getattr(srnn, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'srnn' has no attribute 'trian'"):
        srnn.trian  # noqa: B018


def test_training_returns_what_the_run_directory_holds(finished: Path, tmp_path: Path) -> None:
    run = srnn.train(tables(), tmp_path / "run")
    assert run.path == tmp_path / "run"
    assert_same_results(finished, run.path)
    assert [line["epoch"] for line in run.metrics] == [1, 2]
    assert run.test["labels"] == ["low", "high", "_silence_", "_unknown_"]
    assert (run.path / "config.toml").read_text() == to_toml(load("tones.toml"))
    again = srnn.train(load("tones.toml"), run.path, resume=True)  # it is finished
    assert again == run


def test_training_sets_up_no_logging_and_leaves_random_numbers_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    source = logging.getLogger("srnn")
    source.handlers, source.propagate = [], True
    show_warning, state = warnings.showwarning, torch.random.get_rng_state()
    with caplog.at_level("INFO"):
        run = srnn.train(tables(epochs=1), tmp_path / "run")
    assert not source.handlers
    assert warnings.showwarning is show_warning
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capsys.readouterr().out == ""
    assert not (run.path / "train.log").exists()
    assert "1/1 " in caplog.text


def test_ctrl_c_saves_the_state_and_is_a_keyboard_interrupt(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        stop_after(9, signal.SIGINT, patch)
        with pytest.raises(KeyboardInterrupt) as caught:
            srnn.train("tones.toml", run)
    note = f"the state is saved in {run}: resume=True continues from it"
    assert caught.value.__notes__ == [note]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    srnn.train("tones.toml", run, resume=True)
    assert_same_results(finished, run)


def test_another_signal_reaches_the_handler_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    stop_after(2, signal.SIGTERM, monkeypatch)
    with pytest.raises(Interrupted):
        srnn.train("tones.toml", tmp_path / "run")
    assert received == [signal.SIGTERM]
    assert (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"srnn": {"epoch": 5}}, "config: srnn.epoch: unknown key; did you mean srnn.epochs?"),
        (
            {"srnn": {"epochs": np.int64(5)}},
            "config: srnn.epochs: expected an integer from 1 to 1000000, found np.int64(5)",
        ),
        ({"srnn": 5}, "config: expected a TOML file, its tables (dicts of keys, by name) or a "),
        ({"srnn": {5: 5}}, "config: expected a TOML file, its tables (dicts of keys, by name)"),
        (None, "config: expected a TOML file, its tables (dicts of keys, by name) or a Config, "),
        (
            Config(mel=MelKeys(hop=40)),
            "config: mel.hop: expected a number <= mel.window = 30.0 (sound between two windows is",
        ),
        ("no.toml", "no.toml: expected a TOML file, found nothing at "),
        (
            {"data": {"dataroot": Path("nowhere"), "gsc_url": "none"}},
            "data.gsc_url: ",
        ),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_named(config: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(srnn.InputError, match=re.escape(message)):
        srnn.train(config, tmp_path / "run")


def test_a_run_is_not_overwritten(finished: Path) -> None:
    before = (finished / "last.safetensors").read_bytes()
    with pytest.raises(srnn.InputError, match="expected a directory without a run"):
        srnn.train("tones.toml", finished)
    assert (finished / "last.safetensors").read_bytes() == before


def test_training_starts_from_other_weights(finished: Path, tmp_path: Path) -> None:
    fresh = srnn.train(tables(epochs=1, learning_rate=1e-12), tmp_path / "fresh")
    run = srnn.train(tables(epochs=1, learning_rate=1e-12), tmp_path / "run", init=finished)
    best = max(srnn.train("tones.toml", finished, resume=True).metrics, key=valid_accuracy)
    assert valid_accuracy(run.metrics[0]) == valid_accuracy(best)
    assert valid_accuracy(run.metrics[0]) > valid_accuracy(fresh.metrics[0])


def valid_accuracy(line: dict[str, Any]) -> float:
    return float(line["valid_accuracy"])


def test_a_script_need_not_be_written_for_worker_processes(tones: Path, tmp_path: Path) -> None:
    shutil.copytree(tones / "tones", tmp_path / "tones", ignore=shutil.ignore_patterns(".cache"))
    script = tmp_path / "script.py"
    script.write_text(
        "import srnn\n"
        "from srnn.data.pack import decoding\n"
        "decoding._RECORDINGS_WORTH_A_POOL = 1\n"
        f"tables = {tables(epochs=1)!r}\n"
        f"tables['data'] |= {{'workers': 2, 'dataroot': {str(tmp_path / 'tones')!r}}}\n"
        f"print(srnn.train(tables, {str(tmp_path / 'run')!r}).test['partition'])\n"
    )
    done = python(str(script))
    assert (done.returncode, done.stdout) == (0, "testing\n"), done.stderr
    assert "worker processes" not in done.stderr


def test_the_users_script_is_back_after_processes_were_spawned() -> None:
    main = sys.modules["__main__"]
    with without_main():
        assert sys.modules["__main__"] is not main
        assert not hasattr(sys.modules["__main__"], "__file__")
    assert sys.modules["__main__"] is main


def test_evaluation_is_the_runs(finished: Path) -> None:
    run = srnn.train("tones.toml", finished, resume=True)
    for what in (finished, str(finished / "best.safetensors"), srnn.load(finished)):
        result = srnn.evaluate(what)
        assert result.accuracy == run.test["accuracy"]
        assert [list(row) for row in result.confusion] == run.test["confusion"]
    best = max(run.metrics, key=valid_accuracy)
    assert srnn.evaluate(finished, "validation").accuracy == valid_accuracy(best)
    elsewhere = srnn.evaluate(finished, dataroot="tones")
    assert elsewhere.accuracy == run.test["accuracy"]
    with pytest.raises(srnn.InputError) as caught:
        srnn.evaluate(finished, "training")  # type: ignore[arg-type]
    assert str(caught.value) == 'partition: expected "testing" or "validation", found "training"'


def test_what_is_recorded_is_what_is_predicted(finished: Path) -> None:
    recogniser = srnn.load(finished)
    for file in sorted(Path("tones").glob("*/0000000[0-3]*.wav")):
        waveform = audio.read(file, 8_000)
        predicted, recorded = recogniser.predict_waveform(waveform), recogniser.record(waveform)
        expected = [math.log(each) for each in predicted.probabilities.values()]
        assert recorded.log_probabilities.tolist() == pytest.approx(expected, abs=1e-5)
        # once more, from the potentials
        scores = torch.from_numpy(recorded.readout).mean(dim=0)
        assert scores.log_softmax(dim=0).tolist() == pytest.approx(expected, abs=1e-5)
        output = spotted(recogniser, waveform)
        for layer, spikes in zip(recorded.layers, output.hidden, strict=True):
            assert np.array_equal(layer.spikes, spikes[:, 0].numpy())
        assert np.array_equal(recorded.inputs, output.inputs[:, 0].numpy())
        by_file = recogniser.record(file)
        assert np.array_equal(by_file.readout, recorded.readout)
    assert recorded.inputs.shape == (26, 16)
    assert {*np.unique(recorded.inputs)} <= {-1, 0, 1}
    assert recorded.readout.shape == (26, 4)
    for layer in recorded.layers:
        shapes = {each.shape for each in vars(layer).values()}
        assert shapes == {(26, 24)}


@torch.no_grad()
def spotted(recogniser: srnn.Recogniser, waveform: np.typing.NDArray[np.float32]) -> Output:
    clip = torch.from_numpy(waveform[None])
    assert clip.shape == (1, recogniser.config.srnn.size)
    output: Output = recogniser.spotter(recogniser.extract(clip))
    return output


@pytest.mark.parametrize(
    ("waveform", "found"),
    [
        (np.zeros((2, 100)), "samples of shape (n,), n >= 1, found shape (2, 100)"),
        (np.zeros(0), "samples of shape (n,), n >= 1, found shape (0,)"),
        (np.array([0.0, math.nan]), "finite samples, found NaN or infinity"),
    ],
)
def test_what_is_no_waveform_is_not_recorded(finished: Path, waveform: Any, found: str) -> None:
    with pytest.raises(srnn.InputError) as caught:
        srnn.load(finished).record(waveform)
    assert str(caught.value) == f"waveform: expected {found}"
    with pytest.raises(srnn.InputError, match=r"^tones\.toml: "):
        srnn.load(finished).record("tones.toml")


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch.export.load
def test_a_trained_network_is_exported_whole(finished: Path, tmp_path: Path) -> None:
    recogniser = srnn.load(finished)
    features = torch.rand(2, 2, 26, 8)
    expected = recogniser.spotter(features)
    file = tmp_path / "network.pt2"
    torch.export.save(torch.export.export(recogniser.spotter, (features,)), file)
    found = torch.export.load(file).module()(features)
    assert type(found) is type(expected)
    assert torch.equal(found.log_probabilities, expected.log_probabilities)
    assert all(map(torch.equal, found.hidden, expected.hidden))
    # and where nothing of it has been imported
    torch.save({"features": features, "log": expected.log_probabilities.detach()}, tmp_path / "x")
    program = (
        "import sys, torch, srnn.network.model; x = torch.load(sys.argv[2]); "
        "out = torch.export.load(sys.argv[1]).module()(x['features']); "
        "print(torch.allclose(out.log_probabilities, x['log'], atol=1e-6))"
    )
    done = python("-W", "ignore", "-c", program, str(file), str(tmp_path / "x"))
    assert done.stdout == "True\n", done.stderr


def readme_examples() -> list[str]:
    text = (ROOT / "src" / "srnn" / "README.md").read_text("utf-8")
    section = text.split("## From Python")[1]
    return re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)


def test_the_examples_in_the_readme_run(
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(tones / "tones", tmp_path / "tones")
    shutil.copy(tones / "tones.toml", tmp_path / "my.toml")
    soundfile.write(tmp_path / "yes.wav", np.random.default_rng(0).normal(size=900) / 9, 8_000)
    monkeypatch.chdir(tmp_path)
    running, drawing, own_network = readme_examples()
    names: dict[str, Any] = {}
    exec(running, names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 7
    assert printed[2] in srnn.load("runs/a").labels
    assert printed[3] == "(26, 16)"
    assert printed[-1] == "(26, 4)"
    exec(drawing, names)
    assert (tmp_path / "yes.png").read_bytes().startswith(b"\x89PNG")
    torch.manual_seed(0)
    exec(own_network, {})
    assert float(capsys.readouterr().out.removeprefix("loss ")) < 0.3
