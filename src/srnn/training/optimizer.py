# SPDX-License-Identifier: MPL-2.0
"""The optimizer: Adam, its parameter groups, and the bounds of parameters."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from srnn.network.learnable import learnables
from srnn.network.model import SpikingNetwork
from srnn.settings import Keys, key


class OptimizerKeys(Keys):
    """Adam and its learning rates."""

    learning_rate: float = key(
        3e-3, "learning rate of weights and biases, before the schedule", gt=0, le=1000
    )
    encoder_learning_rate: float = key(
        0.01,
        "learning rate of the encoder threshold, relative to `learning_rate`",
        "multiples of `learning_rate`",
        idle_if={"srnn.encoder": "none"},
        ge=0,
        le=1000,
    )
    tau_learning_rate: float = key(
        2.0,
        "learning rate of time constants and other parameters of neurons, relative to "
        "`learning_rate`",
        "multiples of `learning_rate`",
        ge=0,
        le=1000,
    )
    weight_decay: float = key(
        0.0, "weight decay of weights and biases, decoupled as in AdamW; 0: Adam", ge=0, le=1
    )
    gradient_clip: float = key(
        0.0,
        "gradient clipping: maximum norm of the gradient of all parameters together; 0: no "
        "clipping",
        ge=0,
    )


_Group = tuple[list[nn.Parameter], list[tuple[float, float] | None]]  # parameters, their bounds


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


def make_optimizer(network: SpikingNetwork, keys: OptimizerKeys) -> SkippingAdam:
    """Return Adam with a group for each that `srnn.network.learnable` names in ``network``.

    Groups other than ``weights``, ``norm`` and ``encoder`` are parameters of neurons and readout. A
    group's ``peak_lr`` is the learning rate before the schedule, ``bounds`` those of each of its
    parameters, see `clamp_parameters`. With a weight decay it is AdamW, and the weights alone
    decay. On a CUDA device its steps can be recorded in a CUDA graph.
    """
    device = next(network.parameters()).device
    factors = {"weights": 1.0, "norm": 1.0, "encoder": keys.encoder_learning_rate}
    # In the order in which checkpoints hold the moments of the parameters.
    groups: dict[str, _Group] = {name: ([], []) for name in ("weights", "norm", "tau", "encoder")}
    for name, (group, bounds) in learnables(network).items():
        parameters, all_bounds = groups.setdefault(group, ([], []))
        parameters.append(network.get_parameter(name))
        all_bounds.append(bounds)
    optimizer = SkippingAdam(
        [
            {
                "params": parameters,
                "name": name,
                "peak_lr": factors.get(name, keys.tau_learning_rate) * keys.learning_rate,
                "lr": _rate(factors.get(name, keys.tau_learning_rate) * keys.learning_rate, device),
                "weight_decay": keys.weight_decay if name == "weights" else 0.0,
                "bounds": bounds,
            }
            for name, (parameters, bounds) in groups.items()
            if parameters
        ],
        decoupled_weight_decay=keys.weight_decay > 0,
        fused=True,
        capturable=device.type == "cuda",
    )
    optimizer.found_inf = torch.zeros((), device=device)
    return optimizer


def _rate(value: float, device: torch.device) -> float | Tensor:
    """Return a learning rate where a recording can read it: on its CUDA device, if it has one."""
    return torch.tensor(value, device=device) if device.type == "cuda" else value


def restore_optimizer(optimizer: Optimizer, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Load the state of an optimizer, which may come from another kind of device.

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


def set_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to ``factor`` times its peak."""
    for group in optimizer.param_groups:
        _set_rate(group, factor * group["peak_lr"])


def _set_rate(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def clamp_parameters(optimizer: Optimizer) -> None:
    """Clamp each parameter that has bounds to them.

    At zero a time constant turns the layer into NaN; outside of its bounds a parameter that is
    clamped in the forward pass has no gradient, and stays there.
    """
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter, bounds in zip(group["params"], group["bounds"], strict=True):
                if bounds:
                    parameter.clamp_(*bounds)
