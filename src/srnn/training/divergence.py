# SPDX-License-Identifier: MPL-2.0
"""The report of training that diverged: parameters and clips of the failed step."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from srnn.data.corpus import Clip
from srnn.errors import DivergenceError, printable
from srnn.training.loss import LossLimits

_NAMED_CLIPS = 3  # in the error; the log has all of them

_log = logging.getLogger(__name__)


class _Numbers(NamedTuple):
    """Statistics of a parameter."""

    wrong: int  # values and gradients that are not finite
    slope: float  # norm of the gradient
    text: str


def divergence(
    place: str,
    limits: LossLimits,
    found: str,
    network: nn.Module,
    clips: Sequence[Clip],
    advice: str,
) -> DivergenceError:
    """Return the error of a step or an epoch, and log all parameters and the clips of the step.

    Parameters
    ----------
    place : str
        The step or epoch.
    limits : LossLimits
    found : str
        The value beyond them.
    network : Module
        With the weights before that step, or after that epoch, and the gradients there.
    clips : sequence of Clip
        The batch of the step; none of an epoch.
    advice : str
        The remedy.
    """
    numbers = [_statistics(name, parameter) for name, parameter in network.named_parameters()]
    worst = max(numbers, key=lambda each: (each.wrong, each.slope))
    names = [printable(clip.name) for clip in clips]
    lines = "\n".join(each.text for each in numbers)
    _log.error("parameters at %s:\n%s\nits clips: %s", place, lines, ", ".join(names) or "all")
    shown = ", ".join(names[:_NAMED_CLIPS]) or "all"
    more = f" and {len(names) - _NAMED_CLIPS} more (see the log)" * (len(names) > _NAMED_CLIPS)
    return DivergenceError(
        f"{place}: expected {limits}, found {found}; {worst.text}; clips: {shown}{more}; {advice}"
    )


def _statistics(name: str, parameter: Tensor) -> _Numbers:
    values = parameter.detach()
    finite = values[values.isfinite()]
    wrong = values.numel() - finite.numel()
    text = f"{name}: {wrong} of {values.numel()} values not finite"
    slope = 0.0
    if finite.numel():
        text += f", the others {finite.min():.3g} to {finite.max():.3g}, mean {finite.mean():.3g}"
    if parameter.grad is not None:
        gradient = parameter.grad
        bad = gradient.numel() - int(gradient.isfinite().sum())
        slope = gradient[gradient.isfinite()].norm().item()
        text += f", gradient of norm {slope:.3g} with {bad} not finite"
        wrong += bad
    return _Numbers(wrong, slope, text)
