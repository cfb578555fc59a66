# SPDX-License-Identifier: MPL-2.0
"""A kind of neuron that a user defines: trained, saved and loaded through the public API."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

import srnn
from srnn.network.neurons import registry
from srnn.network.ops import library


@dataclass(frozen=True)
class Resonator(srnn.Neuron):
    """A neuron whose reset is to zero, which none of the package has; it has no kernels."""

    name: ClassVar[str] = "resonator"
    learnable: ClassVar[tuple[str, ...]] = ("tau_mem",)

    tau_mem: srnn.Normal = srnn.Normal(10.0, 2.0)
    surrogate: srnn.Surrogate = srnn.Neuron.surrogate

    def parameters(self, learnt: Iterable[Tensor]) -> Tensor:
        return torch.stack([torch.exp(-1 / tau) for tau in learnt])

    def firing_threshold(self, adaptation: Tensor) -> Tensor:
        return torch.full_like(adaptation, 0.5)

    def step(self, current: Tensor, state: srnn.State, parameters: Tensor) -> srnn.State:
        (alpha,) = parameters
        kept = alpha * state.potential * (1 - state.spikes)
        potential = kept + (1 - alpha) * current
        return srnn.State(srnn.spike(potential - 0.5, self.surrogate), potential, state.adaptation)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    library._warn_once.cache_clear()
    srnn.register_neuron(Resonator)
    yield
    del registry._kinds["resonator"]


def tables(tones: Path) -> dict[str, dict[str, object]]:
    content = srnn_config(tones / "tones.toml")
    content["srnn"] |= {"neuron": "resonator", "epochs": 2, "firing_start": 0.1}
    content["data"] |= {"dataroot": str(tones / "tones")}
    return content


def srnn_config(path: Path) -> dict[str, dict[str, object]]:
    from srnn.config import load

    return load(path).model_dump()


@pytest.mark.usefixtures("registered")
def test_it_trains_on_its_definition_with_a_warning(
    tones: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "srnn"):
        run = srnn.train(tables(tones), tmp_path / "run")
    assert len(run.metrics) == 2
    assert all(rate > 0 for rate in run.metrics[-1]["firing_rate"])
    warnings = [record.getMessage() for record in caplog.records if "kernels" in record.message]
    assert warnings == [
        "the slow reference implementation is used instead of the kernels: no kernels for the "
        "neuron 'resonator'"
    ]
    recogniser = srnn.load(run.path)
    assert recogniser.spotter.network.hidden[0].neuron == Resonator()
    activity = recogniser.record(torch.randn(2000).numpy())
    assert activity.layers[0].threshold.max() == 0.5


def test_a_run_of_an_unknown_kind_is_an_error(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(srnn.InputError, match=r'srnn\.neuron: expected .*, found "resonator"'):
        srnn.train(tables(tones), tmp_path / "run")
    srnn.register_neuron(Resonator)
    path = srnn.train(tables(tones), tmp_path / "run").path
    del registry._kinds["resonator"]
    with pytest.raises(srnn.InputError, match=r'srnn\.neuron: expected .*, found "resonator"'):
        srnn.load(path)


def test_a_layer_computes_it_without_registration() -> None:
    library._warn_once.cache_clear()
    layer = srnn.AdaptiveLIF(5, 7, recurrent=True, neuron=Resonator())
    spikes, state = layer(torch.randn(11, 3, 5) * 3)
    assert spikes.shape == (11, 3, 7)
    spikes.sum().backward()
    assert layer.tau_mem.grad is not None
    assert (state.adaptation == 0).all()
