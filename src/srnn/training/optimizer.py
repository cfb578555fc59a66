# SPDX-License-Identifier: MPL-2.0
"""The optimizer: parameter groups, the learning-rate schedule, and limits of parameters."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from srnn.config import SrnnConfig
from srnn.network.encoder import TernaryEncoder
from srnn.network.layers import AdaptiveLIF


class SkippingAdam(Adam):
    """Adam that changes nothing while `found_inf` is 1, which is looked at on the device only.

    Torch's fused implementation looks for an attribute of this name, which its gradient scaler
    sets.

    Attributes
    ----------
    found_inf : Tensor, shape (), float32
        0 or 1.
    """

    found_inf: Tensor


def make_optimizer(network: nn.Module, settings: SrnnConfig) -> SkippingAdam:
    """Return Adam with a group each for what has its own learning rate, decay or limits.

    Groups are ``weights`` (with biases), ``norm`` (gains and shifts), ``tau``, ``encoder`` and one
    for each further parameter of neurons, as far as ``network`` has such; every parameter is in
    exactly one. A group's ``peak_lr`` is the learning rate before the schedule, ``limits`` what
    `limit_parameters` keeps it in. With a weight decay it is AdamW, and the weights alone decay. On
    a CUDA device its steps can be recorded in a CUDA graph.
    """
    device = next(network.parameters()).device
    encoder = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, TernaryEncoder)
        for parameter in module.parameters()
    }
    ranges = {
        name: limits
        for module in network.modules()
        if isinstance(module, AdaptiveLIF)
        for name, limits in module.neuron.ranges.items()
    }
    factors = {
        "weights": 1.0,
        "norm": 1.0,
        "tau": settings.tau_learning_rate,
        "encoder": settings.encoder_learning_rate,
        **dict.fromkeys(ranges, settings.tau_learning_rate),
    }
    limits = {name: (each.lowest, each.highest) for name, each in ranges.items()}
    limits["tau"] = settings.tau_range
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in factors}
    for name, parameter in network.named_parameters():
        group = "encoder" if id(parameter) in encoder else _group(name.rpartition(".")[2], factors)
        groups[group].append(parameter)
    optimizer = SkippingAdam(
        [
            {
                "params": parameters,
                "name": name,
                "peak_lr": factors[name] * settings.learning_rate,
                "lr": _rate(factors[name] * settings.learning_rate, device),
                "weight_decay": settings.weight_decay if name == "weights" else 0.0,
                "limits": limits.get(name),
            }
            for name, parameters in groups.items()
            if parameters
        ],
        decoupled_weight_decay=settings.weight_decay > 0,
        fused=True,
        capturable=device.type == "cuda",
    )
    optimizer.found_inf = torch.zeros((), device=device)
    return optimizer


def _group(name: str, groups: Collection[str]) -> str:
    """Return the group of a parameter by its name within its layer."""
    if name.startswith("tau_"):
        return "tau"
    if name in ("gain", "shift"):
        return "norm"
    return name if name in groups else "weights"


def _rate(value: float, device: torch.device) -> float | Tensor:
    """Return a learning rate where a recording can read it: on its CUDA device, if it has one."""
    return torch.tensor(value, device=device) if device.type == "cuda" else value


def restore_optimizer(optimizer: Optimizer, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Load what an optimizer remembers, which may have worked on another kind of device.

    All else, such as learning rates, follows from the configuration.

    Raises
    ------
    ValueError
        If it is that of an optimizer of other parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expected = [
        {"step": torch.Size(), "exp_avg": p.shape, "exp_avg_sq": p.shape} for p in parameters
    ]
    found = {
        index: {name: moment.shape for name, moment in each.items()}
        for index, each in moments.items()
    }
    if found not in ({}, dict(enumerate(expected))):  # none before the first step
        raise ValueError("expected the moments of this network's optimizer, found another's")
    rates = [group["lr"] for group in optimizer.param_groups]
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate  # the tensor that a recording reads


def schedule_factor(settings: SrnnConfig, epochs_done: float, step: float = 0.0) -> float:
    """Return what the learning rates are multiplied by after ``epochs_done`` epochs.

    Parameters
    ----------
    settings : SrnnConfig
    epochs_done : float, 0 <= epochs_done <= epochs
        With fractions: the cosine and the rise at the start move at every step.
    step : float
        Length of a step (epochs): the first one already moves by something.
    """
    rise = (
        min(1.0, (epochs_done + step) / settings.warmup_epochs) if settings.warmup_epochs else 1.0
    )
    match settings.schedule:
        case "step":
            drops = int(epochs_done) // settings.schedule_epochs
            return float(rise * settings.schedule_factor**drops)
        case "cosine":
            return rise * 0.5 * (1 + math.cos(math.pi * epochs_done / settings.epochs))
        case "constant":
            return rise


def set_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to ``factor`` times its peak."""
    for group in optimizer.param_groups:
        _set_rate(group, factor * group["peak_lr"])


def _set_rate(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def limit_parameters(optimizer: Optimizer) -> None:
    """Move what a step took out of its group's limits to the nearer one.

    At zero a time constant turns the layer into NaN; outside of its range a parameter that is
    clamped in the forward pass has no gradient, and stays there.
    """
    with torch.no_grad():
        for group in optimizer.param_groups:
            if group["limits"]:
                for parameter in group["params"]:
                    parameter.clamp_(*group["limits"])
