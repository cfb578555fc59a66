# SPDX-License-Identifier: MPL-2.0
"""The operators on a CUDA device: tensors in, tensors out; the kernels beside do the work.

Each function implements the operator of its name, see `srnn.network.ops.signatures`.
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
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from srnn.network.neurons.registry import kernel_functions
from srnn.network.ops.precision import full_precision
from srnn.network.ops.sequences import copied, new_sequence
from srnn.network.ops.signatures import (
    Gram,
    GramOutput,
    Layer,
    LayerBackward,
    LayerGradients,
    LayerOutput,
    SpikeLinear,
    SpikeLinearBackward,
    SpikeLinearGradients,
    Ternary,
    TernaryBackward,
    TernaryGradients,
)

# One program does this much.
_CLIPS = 16  # of a recurrent layer: as many as a tensor core's tile has rows
_CELLS = 128  # of a feed-forward layer, one a thread
_FEATURES = 1024  # of the encoder

_SCAN_STAGES = 4  # time steps of a feed-forward layer whose loads are under way at a time


def unsupported(current: Tensor) -> str | None:
    """Return why the kernels cannot compute with ``current``, or None if they can."""
    if current.dtype != torch.float32:
        return f"the kernels support torch.float32, not {current.dtype}"
    if current.is_cuda and torch.cuda.get_device_capability(current.device) < (8, 0):
        return "the kernels need a GPU of compute capability 8.0 or higher"
    return _missing()


@cache
def _missing() -> str | None:
    """Return the missing requirement of Triton, which compiles a C file at its first launch."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler (gcc or clang)"
    if not Path(sysconfig.get_config_var("INCLUDEPY"), "Python.h").exists():
        return "Triton needs Python's C headers (python3-dev)"
    return None


@cache
def _kernels(name: str) -> Any:
    """Import a module of this folder when first needed: Triton may be missing, and is slow."""
    return import_module(f"srnn.network.ops.cuda.{name}")


def alif(a: Layer) -> LayerOutput:
    """Run a layer over a sequence."""
    current = a.inputs
    if a.weight is not None:
        current = spike_linear(SpikeLinear(a.inputs, a.weight, a.bias))
    current = _dense(current)
    steps, batch, neurons = current.shape
    spikes = new_sequence(current, neurons)
    keep = a.keep_potentials
    # If they are not kept, the potential of each step overwrites that of the step before.
    potentials = new_sequence(current, neurons) if keep else current.new_empty(1, batch, neurons)
    adapted = copied(a.adaptation0)
    common = {
        "current": current,
        "parameters": a.parameters.contiguous(),
        "spikes0": a.spikes0.contiguous(),
        "potential0": a.potential0.contiguous(),
        "state_adapted": adapted,
        "spikes_out": spikes,
        "potentials": potentials,
        "steps": steps,
        "batch": batch,
        "current_step": current.stride(0),
        "current_clip": current.stride(1),
        "potentials_step": neurons if keep else 0,
        "potentials_clip": potentials.stride(1),
        "constants": tuple(a.constants),
        "neurons": neurons,
        "learnable": len(a.parameters),
        "step": kernel_functions(a.neuron, "triton").step,
        "enable_fp_fusion": False,
    }
    with torch.cuda.device_of(current):
        if a.recurrent_weight is None:
            _kernels("scan").scan_forward[_programs(batch * neurons, _CELLS)](
                **common, block=_CELLS, stages=_SCAN_STAGES
            )
        else:
            tiles = _tiles(neurons)
            weights, unit = _halves(a.recurrent_weight.t(), tiles.padded)
            _kernels("recurrent").recurrent_forward[_programs(batch, _CLIPS)](
                **common,
                **tiles._asdict(),
                weights=weights,
                weight_unit=unit,
                num_warps=_warps(tiles),
            )
    kept = potentials if keep else current.new_empty(0)
    return LayerOutput(spikes, kept, potentials[-1].clone(), adapted)


def alif_backward(a: LayerBackward) -> LayerGradients:
    """Return the gradients of a layer over a sequence."""
    steps, batch, neurons = a.spikes.shape
    grad_spikes = _dense(a.grad_spikes)
    spikes, potentials = _clip_by_clip(a.spikes), _clip_by_clip(a.potentials)
    # Holds the adaptation of every step until the gradient of the current overwrites it.
    grad_current = new_sequence(spikes, neurons)
    functions = kernel_functions(a.neuron, "triton")
    spikes0 = a.spikes0.contiguous()
    common = {
        "parameters": a.parameters.contiguous(),
        "spikes0": spikes0,
        "potential0": a.potential0.contiguous(),
        "adaptation0": a.adaptation0.contiguous(),
        "steps": steps,
        "batch": batch,
        "constants": tuple(a.constants),
        "neurons": neurons,
        "learnable": len(a.parameters),
        "enable_fp_fusion": False,
    }
    scan = {"block": _CELLS, "stages": _SCAN_STAGES}
    into_spikes = torch.zeros_like(spikes0)
    into_potential, into_adapted = copied(a.grad_potential), copied(a.grad_adaptation)
    parts = spikes.new_zeros(batch, len(a.parameters), neurons)
    back = {
        **common,
        "grad_spikes": grad_spikes[-1],
        "spikes": spikes[-1],
        "potentials": potentials[-1],
        "adapted_or_grad": grad_current[-1],
        "state_spikes": into_spikes,
        "state_potential": into_potential,
        "state_adapted": into_adapted,
        "parts": parts,
        "grad_step": grad_spikes.stride(0),
        "grad_clip": grad_spikes.stride(1),
        "step_backward": functions.step_backward,
        "derivative": _kernels("surrogates").DERIVATIVES[a.surrogate],
    }
    grad_recurrent = spikes.new_empty(0, 0)
    with torch.cuda.device_of(spikes):
        _kernels("scan").scan_adaptation[_programs(batch * neurons, _CELLS)](
            **common,
            **scan,
            spikes=spikes,
            potentials=potentials,
            adapted_out=grad_current,
            adapt=functions.adapt,
        )
        if a.recurrent_weight is None:
            _kernels("scan").scan_backward[_programs(batch * neurons, _CELLS)](**back, **scan)
        else:
            tiles = _tiles(neurons)
            weights, unit = _halves(a.recurrent_weight, tiles.padded)
            _kernels("recurrent").recurrent_backward[_programs(batch, _CLIPS)](
                **back,
                **tiles._asdict(),
                weights=weights,
                weight_unit=unit,
                num_warps=_warps(tiles),
            )
            with full_precision():
                into_spikes.addmm_(grad_current[0], a.recurrent_weight)
                grad_recurrent = _weight_gradient(grad_current, spikes0, spikes)
    grad_parameters = parts.sum(dim=0)
    grad_parameters[0] /= 1 - a.parameters[0]  # the kernels leave out this factor of alpha's
    product = SpikeLinearGradients(grad_current, spikes.new_empty(0, 0), spikes.new_empty(0))
    if a.inputs is not None and a.weight is not None:
        product = spike_linear_backward(
            SpikeLinearBackward(grad_current, a.inputs, a.weight, a.for_inputs, for_weight=True)
        )
    return LayerGradients(
        inputs=product.spikes,
        weight=product.weight,
        bias=product.bias,
        recurrent_weight=grad_recurrent,
        parameters=grad_parameters,
        spikes0=into_spikes,
        potential0=into_potential,
        adaptation0=into_adapted,
    )


def spike_linear(a: SpikeLinear) -> Tensor:
    """Return spikes times the transposed weight, plus the bias: torch's own dense product."""
    return F.linear(_clip_by_clip(a.spikes).transpose(0, 1), a.weight, a.bias).transpose(0, 1)


def spike_linear_backward(a: SpikeLinearBackward) -> SpikeLinearGradients:
    """Return the gradients of spikes, weight and bias; those that are not needed are empty."""
    grad, spikes = (_clip_by_clip(each).transpose(0, 1) for each in (a.grad, a.spikes))
    flat = grad.flatten(0, 1)
    grad_spikes = grad @ a.weight if a.for_spikes else grad.new_empty(*grad.shape[:2], 0)
    return SpikeLinearGradients(
        grad_spikes.transpose(0, 1),
        flat.t() @ spikes.flatten(0, 1) if a.for_weight else grad.new_empty(0, 0),
        flat.sum(dim=0) if a.for_weight else grad.new_empty(0),
    )


def gram(a: Gram) -> GramOutput:
    """Return sums over steps and clips: of inputs, of products of their deviations."""
    vectors = _clip_by_clip(a.inputs).transpose(0, 1).flatten(0, 1)
    total = vectors.sum(dim=0)
    centred = vectors - total / max(1, len(vectors))
    with full_precision():
        return GramOutput(total, centred.t() @ centred)


def ternary(a: Ternary) -> Tensor:
    """Return the events of features of any shape, contiguous."""
    features = a.features.contiguous()
    events = torch.empty_like(features)
    count = features.numel()
    with torch.cuda.device_of(features):
        _kernels("encoder").ternary_forward[_programs(count, _FEATURES)](
            features=features,
            threshold=a.threshold,
            events=events,
            count=count,
            block=_FEATURES,
            enable_fp_fusion=False,
        )
    return events


def ternary_backward(a: TernaryBackward) -> TernaryGradients:
    """Return the gradients of features, contiguous, and threshold."""
    features = a.features.contiguous()
    grad_features = torch.empty_like(features)
    count = features.numel()
    programs = _programs(count, _FEATURES)
    parts = features.new_empty(programs)
    with torch.cuda.device_of(features):
        _kernels("encoder").ternary_backward[programs](
            grad=a.grad.contiguous(),
            features=features,
            threshold=a.threshold,
            grad_features=grad_features,
            threshold_parts=parts,
            count=count,
            derivative=_kernels("surrogates").DERIVATIVES[a.surrogate],
            block=_FEATURES,
            enable_fp_fusion=False,
        )
    return TernaryGradients(grad_features, parts.sum())


class _Tiles(NamedTuple):
    """Partition of a layer for a recurrent kernel."""

    padded: int  # neurons, a whole number of blocks
    clips: int  # of a program
    block: int  # neurons after the product, at a time
    depth: int  # neurons before the product, at a time


def _tiles(neurons: int) -> _Tiles:
    block = min(128, max(16, 1 << (neurons - 1).bit_length()))
    return _Tiles(-(-neurons // block) * block, _CLIPS, block, min(64, block))


def _warps(tiles: _Tiles) -> int:
    """Return the number of warps of a block: one for 16 columns."""
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


def _dense(sequence: Tensor) -> Tensor:
    """Return a sequence (T, B, H) whose neurons lie side by side."""
    return sequence if sequence.stride(-1) == 1 else _clip_by_clip(sequence)
