# SPDX-License-Identifier: MPL-2.0
"""Code common to the kernels of all neurons, and the functions of a kind.

Each kind has these functions in the ``triton.py`` of its folder, for values of any shape. They are
passed to the kernels as constants, so that a kernel is compiled for each kind. ``p`` is a tuple:
the neuron's parameters, alpha first, then the constants of the kind.

``step(inflow, spikes, potential, adapted, p)``
    Returns spikes, potential and adaptation one time step later. Rounded as the definition is.
``adapt(spikes, potential, adapted, p)``
    Returns the adaptation one time step after this state, alone.
``step_backward(grad_spikes, later_potential, later_adapted, spikes_before, potential_before,
adapted_before, potential, adapted, p, derivative)``
    ``later_...`` are the gradients that the later step returned for the state before it;
    ``derivative`` is the surrogate's, to be annotated as `tl.constexpr`. Returns the gradients of
    inflow, of spikes, potential and adaptation before, and a tuple: the step's summands of those of
    the parameters, that of alpha times 1 - alpha (the inflow is put in terms of the potentials).
"""

import triton
import triton.language as tl

LENGTHS = ["steps", "batch"]
"""Arguments of kernels for which none is compiled anew if they are round."""


@triton.jit
def load_parameters(parameters, constants, neuron, neurons: tl.constexpr, learnable: tl.constexpr):
    """Return ``p``: parameters (L, H) of these neurons, and the constants."""
    p = ()
    for k in tl.static_range(learnable):
        p += (tl.load(parameters + k * neurons + neuron, neuron < neurons, 0.0),)  # type: ignore
    return p + constants


@triton.jit
def zeros(block: tl.constexpr, count: tl.constexpr):
    """Return a tuple of ``count`` blocks of zeros."""
    found = ()
    for _ in tl.static_range(count):
        found += (tl.zeros((block,), tl.float32),)  # type: ignore
    return found


@triton.jit
def add(sums, summands, count: tl.constexpr):
    """Return the sums of two tuples, item by item."""
    found = ()
    for k in tl.static_range(count):
        found += (sums[k] + summands[k],)  # type: ignore
    return found
