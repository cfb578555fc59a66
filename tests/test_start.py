# SPDX-License-Identifier: MPL-2.0
"""Commands that people wait for import nothing that takes long and that they do not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from tone_runs import train_on_tones

SLOW = {
    *("torch._dynamo", "torch._inductor", "torch.onnx._internal.exporter", "sympy"),
    *("librosa", "scipy.signal", "sklearn", "pandas", "torchaudio"),
    *("matplotlib", "optuna", "sqlalchemy", "tensorboard", "onnx", "onnxruntime", "nir"),
    *("sounddevice", "espeakng_loader", "neurobench"),
}

_COMMAND = """
import sys
from srnn.cli import run
code = run(sys.argv[1:])
print("\\n" + " ".join(sys.modules))
sys.exit(code)
"""


def modules(folder: Path, *arguments: str) -> set[str]:
    """Return the modules that are imported at the end of a command."""
    process = subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(process.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_on_tones(tones, tmp_path_factory.mktemp("start") / "run", "srnn.epochs=1")


def test_predictions(tones: Path, run: Path) -> None:
    recording = "tones/high/00000000_nohash_0.wav"
    found = modules(tones, "predict", str(run), recording)
    assert "torch" in found
    assert (found & (SLOW | {"scipy.stats"})) == set()
    found = modules(tones, "predict", "gsc8-small", recording)  # it resamples
    assert (found & (SLOW | {"scipy.stats"})) == set()


def test_evaluation(tones: Path, run: Path) -> None:
    assert not (modules(tones, "evaluate", str(run), "--partition", "validation") & SLOW)


def test_configuration(tones: Path) -> None:
    assert not (modules(tones, "config", "tones.toml") & (SLOW | {"scipy.stats"}))


def test_help_and_version_import_no_torch(tones: Path) -> None:
    for option in ("--help", "--version"):
        assert "torch" not in modules(tones, option)
