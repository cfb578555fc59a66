# SPDX-License-Identifier: MPL-2.0
"""The operators on a CUDA device: tensors in, tensors out; `triton_kernels` does the work.

Every function has the signature of the operator in `srnn.network.ops.library` that it implements.
Nothing here waits for the device, and what is allocated depends on shapes only: all of it can be
captured in a CUDA graph (after a first call, which compiles the kernels). Nothing is added up in an
order that changes from run to run: gradients are bitwise repeatable.

Precision: float32 throughout; only the product of spikes and weights is torch's own, and uses TF32
where the user allows torch to. The recurrent products run on tensor cores, whose operands are half
precision: a weight is the sum of two halves (to 2^-23 of itself, one unit in the last place of a
float32), spikes are exact, so are the products of the two, and sums are float32. In the backward
the gradients are split likewise; what is left out is lower times lower half, at most 2^-22 of a
product. Multiplications and additions are not fused (``enable_fp_fusion=False``): the neuron's
equations then round as torch's operations do.

Legend: T time steps, B batch, H neurons, P neurons padded to whole tiles.
"""

import os
import shutil
import sysconfig
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.network.ops.precision import full_precision
from srnn.network.ops.sequences import copied, new_sequence

# One program does this much.
_CLIPS = 16  # of a recurrent layer: as many as a tensor core's tile has rows
_CELLS = 128  # of a feed-forward layer, one a thread
_FEATURES = 1024  # of the encoder

_SCAN_STAGES = 4  # time steps of a feed-forward layer whose loads are under way at a time


def unsupported(current: Tensor) -> str | None:
    """Return why the kernels cannot compute with ``current``, or None if they can."""
    if current.dtype != torch.float32:
        return f"they compute in torch.float32, not {current.dtype}"
    if current.is_cuda and torch.cuda.get_device_capability(current.device) < (8, 0):
        return "they need a GPU of compute capability 8.0 or higher"
    return _missing()


@cache
def _missing() -> str | None:
    """Return what this machine lacks; before its first launch Triton compiles a C file."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler (gcc or clang)"
    if not Path(sysconfig.get_config_var("INCLUDEPY"), "Python.h").exists():
        return "Triton needs Python's C headers (python3-dev)"
    return None


@cache
def _kernels() -> ModuleType:
    """Import Triton when it is first needed: not every machine has it, and it takes a while."""
    return import_module("srnn.network.ops.triton_kernels")


def alif(
    inputs: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
    spikes0: Tensor,
    potential0: Tensor,
    adaptation0: Tensor,
    neuron: str,
    constants: Sequence[float],
    surrogate: str,
    keep_trace: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a layer over a sequence: spikes, trace, final potential and adaptation."""
    current = _rows(inputs if weight is None else spike_linear(inputs, weight, bias))
    steps, batch, neurons = current.shape
    spikes = new_sequence(current, neurons)
    # Without a trace, the potential of each step overwrites that of the step before.
    trace = new_sequence(current, neurons) if keep_trace else current.new_empty(1, batch, neurons)
    trace_step = neurons if keep_trace else 0
    adapted = copied(adaptation0)
    state = spikes0.contiguous(), potential0.contiguous()
    rows = rows.contiguous()
    strides = current.stride(0), current.stride(1), trace_step, trace.stride(1)
    kind = *_pair(constants), neurons, neuron
    with torch.cuda.device_of(current):
        if recurrent_weight is None:
            _kernels().scan_forward[_programs(batch * neurons, _CELLS)](
                *(current, rows, *state, adapted, spikes, trace, steps, batch),
                *(*strides, *kind, _CELLS, _SCAN_STAGES),
                enable_fp_fusion=False,
            )
        else:
            tiles = _tiles(neurons)
            _kernels().recurrent_forward[_programs(batch, _CLIPS)](
                *(current, *_halves(recurrent_weight.t(), tiles.padded), rows, *state),
                *(adapted, spikes, trace, steps, batch, *strides, *kind, *tiles),
                num_warps=_warps(tiles),
                enable_fp_fusion=False,
            )
    return spikes, (trace if keep_trace else current.new_empty(0)), trace[-1].clone(), adapted


def alif_backward(
    grad_spikes: Tensor,
    grad_potential: Tensor,
    grad_adaptation: Tensor,
    inputs: Tensor | None,
    spikes: Tensor,
    trace: Tensor,
    weight: Tensor | None,
    recurrent_weight: Tensor | None,
    rows: Tensor,
    spikes0: Tensor,
    potential0: Tensor,
    adaptation0: Tensor,
    neuron: str,
    constants: Sequence[float],
    surrogate: str,
    for_inputs: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of inputs, weights, bias, parameters and the three states before."""
    steps, batch, neurons = spikes.shape
    grad_spikes = _rows(grad_spikes)
    spikes, trace = _clip_by_clip(spikes), _clip_by_clip(trace)
    state = spikes0.contiguous(), potential0.contiguous(), adaptation0.contiguous()
    rows = rows.contiguous()
    grad_current = new_sequence(
        spikes, neurons
    )  # holds the adaptation of every step until it is overwritten
    grad_state = torch.zeros_like(state[0]), copied(grad_potential), copied(grad_adaptation)
    parts = spikes.new_zeros(batch, len(rows), neurons)
    kind = *_pair(constants), neurons, neuron
    arguments = (
        *(rows, *state, *grad_state, parts, steps, batch),
        *(grad_spikes.stride(0), grad_spikes.stride(1), *kind, surrogate),
    )
    at_last = grad_spikes[-1], spikes[-1], trace[-1], grad_current[-1]
    with torch.cuda.device_of(spikes):
        _kernels().scan_adaptation[_programs(batch * neurons, _CELLS)](
            *(spikes, trace, rows, *state, grad_current, steps, batch),
            *(*kind, _CELLS, _SCAN_STAGES),
            enable_fp_fusion=False,
        )
        if recurrent_weight is None:
            grad_weight = spikes.new_empty(0, 0)
            _kernels().scan_backward[_programs(batch * neurons, _CELLS)](
                *at_last, *arguments, _CELLS, _SCAN_STAGES, enable_fp_fusion=False
            )
        else:
            tiles = _tiles(neurons)
            _kernels().recurrent_backward[_programs(batch, _CLIPS)](
                *(*at_last, *_halves(recurrent_weight, tiles.padded), *arguments, *tiles),
                num_warps=_warps(tiles),
                enable_fp_fusion=False,
            )
            with full_precision():
                grad_state[0].addmm_(grad_current[0], recurrent_weight)
                grad_weight = _weight_gradient(grad_current, state[0], spikes)
    grad_rows = parts.sum(dim=0)
    grad_rows[0] /= 1 - rows[0]  # alpha: the kernels leave the factor to us
    others = grad_weight, grad_rows, *grad_state
    if inputs is None or weight is None:
        return grad_current, spikes.new_empty(0, 0), spikes.new_empty(0), *others
    return *spike_linear_backward(grad_current, inputs, weight, for_inputs, True), *others


def spike_linear(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return spikes times the transposed weight, plus the bias: torch's own dense product."""
    rows = _clip_by_clip(spikes).transpose(0, 1)
    return F.linear(rows, weight, bias).transpose(0, 1)


def spike_linear_backward(
    grad: Tensor, spikes: Tensor, weight: Tensor, for_spikes: bool, for_weight: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of spikes, weight and bias; those that are not wanted are empty."""
    grad, spikes = (_clip_by_clip(each).transpose(0, 1) for each in (grad, spikes))
    flat = grad.flatten(0, 1)
    return (
        (grad @ weight if for_spikes else grad.new_empty(*grad.shape[:2], 0)).transpose(0, 1),
        flat.t() @ spikes.flatten(0, 1) if for_weight else grad.new_empty(0, 0),
        flat.sum(dim=0) if for_weight else grad.new_empty(0),
    )


def gram(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return sums over steps and clips: of inputs (I,), of products of their deviations (I, I)."""
    vectors = _clip_by_clip(inputs).transpose(0, 1).flatten(0, 1)
    total = vectors.sum(dim=0)
    deviations = vectors - total / max(1, len(vectors))
    with full_precision():
        return total, deviations.t() @ deviations


def ternary(features: Tensor, threshold: Tensor, surrogate: str) -> Tensor:
    """Return the events of features of any shape, contiguous."""
    features = features.contiguous()
    events = torch.empty_like(features)
    count = features.numel()
    with torch.cuda.device_of(features):
        _kernels().ternary_forward[_programs(count, _FEATURES)](
            *(features, threshold, events, count, _FEATURES), enable_fp_fusion=False
        )
    return events


def ternary_backward(
    grad: Tensor, features: Tensor, threshold: Tensor, surrogate: str
) -> tuple[Tensor, Tensor]:
    """Return the gradients of features, contiguous, and threshold."""
    grad, features = grad.contiguous(), features.contiguous()
    grad_features = torch.empty_like(features)
    count = features.numel()
    programs = _programs(count, _FEATURES)
    parts = features.new_empty(programs)
    with torch.cuda.device_of(features):
        _kernels().ternary_backward[programs](
            *(grad, features, threshold, grad_features, parts, count, surrogate, _FEATURES),
            enable_fp_fusion=False,
        )
    return grad_features, parts.sum()


def _pair(constants: Sequence[float]) -> tuple[float, ...]:
    """Return what the kernels take as threshold and adaptation, of a kind without them zeros."""
    return (*constants, 0.0, 0.0)[:2]


class _Tiles(NamedTuple):
    """How a recurrent kernel cuts up a layer."""

    padded: int  # neurons, a whole number of blocks
    clips: int  # of a program
    block: int  # neurons after the product, at a time
    depth: int  # neurons before the product, at a time


def _tiles(neurons: int) -> _Tiles:
    block = min(128, max(16, 1 << (neurons - 1).bit_length()))
    return _Tiles(-(-neurons // block) * block, _CLIPS, block, min(64, block))


def _warps(tiles: _Tiles) -> int:
    """Return how many warps share a block: 16 columns each."""
    return max(1, tiles.block // 16)


def _programs(count: int, each: int) -> tuple[int]:
    return (-(-count // each),)


def _halves(weight: Tensor, padded: int) -> tuple[Tensor, Tensor]:
    """Split a matrix (H, H) into two half-precision ones (2, P, P), and the unit their sum is in.

    The unit is a power of two that puts the largest weight into [2^13, 2^14). What the halves miss
    of a weight is at most 2^-23 of itself or, where it is small, 2^-38 of the largest.
    """
    largest = torch.linalg.vector_norm(weight, float("inf"))
    exponent = torch.frexp(largest).exponent.clamp(min=-100)  # largest < 2^exponent
    # Powers of two by their bits: torch's own need not be exact on every device.
    scale, unit = ((127 + sign * (14 - exponent)) << 23 for sign in (1, -1))
    scaled = weight * scale.view(torch.float32)
    halves = torch.zeros(2, padded, padded, dtype=torch.float16, device=weight.device)
    high, low = halves[:, : len(weight), : len(weight)]
    high.copy_(scaled)
    low.copy_(scaled - high)
    return halves, unit.view(torch.float32)


def _weight_gradient(grad_current: Tensor, spikes0: Tensor, spikes: Tensor) -> Tensor:
    """Sum over steps and clips the products of each step's gradient and the spikes before it."""
    before = torch.cat([spikes0[:, None], spikes.transpose(0, 1)[:, :-1]], dim=1)  # (B, T, H)
    return grad_current.transpose(0, 1).flatten(0, 1).t() @ before.flatten(0, 1)


def _clip_by_clip(sequence: Tensor) -> Tensor:
    """Return a sequence that lies as `new_sequence` has it, without a copy where it does so."""
    return sequence.transpose(0, 1).contiguous().transpose(0, 1)


def _rows(sequence: Tensor) -> Tensor:
    """Return a sequence (T, B, H) whose neurons lie side by side."""
    return sequence if sequence.stride(-1) == 1 else _clip_by_clip(sequence)
