# SPDX-License-Identifier: MPL-2.0
"""What a CUDA device computes, against the CPU."""

import json
from pathlib import Path

import pytest
import torch

from srnn import cli
from srnn.network.model import SpikingNetwork

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_forward_and_gradients_agree_with_the_cpu() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(10, [13, 11], 4).double()
    features = 3 * torch.randn(5, 2, 21, 5, dtype=torch.float64)
    expected = network(features).log_probabilities
    gradients = torch.autograd.grad(expected.square().sum(), list(network.parameters()))

    network.cuda()
    output = network(features.cuda()).log_probabilities
    on_gpu = torch.autograd.grad(output.square().sum(), list(network.parameters()))
    torch.testing.assert_close(output.cpu(), expected)
    for (name, _), here, there in zip(network.named_parameters(), on_gpu, gradients, strict=True):
        torch.testing.assert_close(here.cpu(), there, msg=name)


def test_a_run_trains_on_the_gpu_and_predicts_on_the_cpu(
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tones)
    run = tmp_path / "run"
    command = ["tones.toml", "--run-dir", str(run), "--set", "cuda.cuda=true"]
    assert cli.run([*command, "--set", "srnn.epochs=12"]) == 0
    assert "device: cuda" in capsys.readouterr().err
    assert json.loads((run / "test.json").read_text())["accuracy"] > 0.7
    clip = next((tones / "tones" / "low").iterdir())
    assert cli.run(["predict", str(run), str(clip)]) == 0
