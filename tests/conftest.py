# SPDX-License-Identifier: MPL-2.0
"""What tests share: a small corpus of tones that is learnt in seconds, the option ``--full``."""

import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from loguru import logger

from srnn.training.interrupt import stop_signals

# Two threads that wait for each other are slow on tensors this small, and on a busy machine.
torch.set_num_threads(1)

TONE_RATE = 8_000
TONE_WORDS = {"low": 300, "high": 1500, "other": 3000}  # word -> frequency (Hz)

TONES_TOML = """
[data]
dataroot = "tones"
words = ["low", "high"]
silence_clips = [20, 4, 4]
workers = 0
[srnn]
network_size = 24
threshold = 0.3
tau_mem = [5.0, 1.0]
batch_size = 16
epochs = 2
size = 2000
sample_rate = 8000
learning_rate = 3e-2
[mel]
n_mels = 8
fmax = 4000
delta_order = 1
[cuda]
cuda = false
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the long form of tests/torture")


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Return whether a test of tests/torture may take minutes."""
    return bool(pytestconfig.getoption("full"))


@pytest.fixture(autouse=True)
def _by_pdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command name itself as under ``pdm run``, wherever the tests run."""
    monkeypatch.setenv("PDM_PROJECT_ROOT", str(Path(__file__).parents[1]))


@pytest.fixture(autouse=True)
def _leave_no_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    show_warning = warnings.showwarning
    yield
    warnings.showwarning = show_warning
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logger.remove()


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds a corpus ``tones`` and its configuration ``tones.toml``."""
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    time = np.arange(2_000) / TONE_RATE
    for word, frequency in TONE_WORDS.items():
        (folder / "tones" / word).mkdir(parents=True)
        for speaker in range(40):
            pitch = frequency * rng.uniform(0.8, 1.2)
            burst = np.abs(time - rng.uniform(0.08, 0.17)) < 0.04  # a steady tone has no features
            tone = 0.3 * burst * np.sin(2 * np.pi * pitch * time)
            samples = tone + 0.002 * rng.normal(size=2_000)
            name = f"{speaker:08x}_nohash_0.wav"
            soundfile.write(folder / "tones" / word / name, samples, TONE_RATE)
    (folder / "tones" / "_background_noise_").mkdir()
    noise = 0.1 * rng.normal(size=10 * TONE_RATE)
    soundfile.write(folder / "tones" / "_background_noise_" / "noise.wav", noise, TONE_RATE)
    (folder / "tones.toml").write_text(TONES_TOML)
    return folder
