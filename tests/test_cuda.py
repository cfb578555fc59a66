# SPDX-License-Identifier: MPL-2.0
"""What a CUDA device computes, against the CPU."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from srnn import cli
from srnn.config import SrnnConfig
from srnn.features.normaliser import Normaliser
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import AdaptiveCurrent
from srnn.training.batch import Batch
from srnn.training.cuda_graph import GraphedStep
from srnn.training.ema import WeightEma
from srnn.training.optimizer import make_optimizer, set_learning_rates
from srnn.training.spotter import Spotter
from srnn.training.step import Step

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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"neuron": AdaptiveCurrent(), "batch_norm": True, "dropout": 0.2},
        {"backend": "reference"},
    ],
    ids=["default", "adaptive current", "reference"],
)
def test_replayed_steps_train_as_eager_ones_do(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    batches = [
        Batch.unmixed(3 * torch.randn(size, 2, 21, 5).cuda(), torch.randint(4, (size,)).cuda())
        for size in (8, 8, 3, 8, 8, 8, 8, 3, 8)
    ]
    trained = []
    for graphed in (False, True):
        torch.manual_seed(0)
        spotter = Spotter(Normaliser(None), SpikingNetwork(10, [13, 11], 4, **options)).cuda()
        settings = SrnnConfig(gradient_clip=0.5, averaging=0.9, label_smoothing=0.1)
        optimizer = make_optimizer(spotter.network, settings)
        ema = WeightEma(spotter, settings.averaging)
        step = Step(spotter, optimizer, settings, 4, ema)
        train_on = GraphedStep(step, 8) if graphed else step
        with caplog.at_level("INFO"):
            for number, batch in enumerate(batches):
                set_learning_rates(optimizer, 1 / (1 + number))
                torch.manual_seed(number)  # as training does for dropout
                train_on(batch)
        weights = [parameter.clone() for parameter in spotter.parameters()]
        tensors = [*spotter.state_dict().values(), *ema.module.state_dict().values(), step.totals]
        trained.append([tensor.clone() for tensor in tensors])
        train_on(Batch.unmixed(torch.full_like(batches[0].features, math.nan), batches[0].labels))
        train_on(batches[0])
        assert step.failed.item() == 1
        assert step.taken.item() == len(batches)
        assert all(map(torch.equal, weights, spotter.parameters()))
    assert "replayed as a CUDA graph" in caplog.text
    for replayed, eager in zip(*trained, strict=True):
        torch.testing.assert_close(replayed, eager)


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
