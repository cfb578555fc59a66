# SPDX-License-Identifier: MPL-2.0
"""The counts of other networks for keywords, by the same formulas.

Legend: T time steps, I inputs of a layer, H units, R outputs.
"""

from srnn.energy.counts import Counts, layer, with_bias
from srnn.energy.keys import WORD
from srnn.network.model import SpikingNetwork
from srnn.network.neurons import Update

# i, f, g, o: a bias and an activation each, and tanh(c). An activation by a table with linear
# interpolation is one multiplication and one addition. Then c = f c + i g, h = o tanh(c).
_LSTM_UNIT = Update(multiplications=5 + 3, additions=4 + 5 + 1, state=2, parameters=4)

_PLAIN_OUTPUT = Update(multiplications=0, additions=0, state=0, parameters=0)


def lstm_counts(network: SpikingNetwork, steps: int) -> list[Counts]:
    """Return the counts of an LSTM with the inputs, layers and outputs of a spiking network.

    All layers are recurrent: 4 T (I H + H H) multiply-accumulates each (Hochreiter and Schmidhuber
    1997, with forget gates). The outputs are computed once, from the last time step.
    """
    found, below = [], network.input_size
    for depth, size in enumerate(network.hidden_sizes):
        received = below + size
        found.append(
            layer(
                f"LSTM {depth + 1}",
                size=size,
                steps=steps,
                update=_LSTM_UNIT,
                multiply_accumulates=float(4 * steps * received * size),
                weights=4 * received * size,
                inputs=float(steps * received),
                input_size=received,
            )
        )
        below = size
    return [*found, _dense("output", below, network.outputs)]


DS_CNN_CLASSES = 12
DS_CNN_NOTE = (
    "DS-CNN (small) of Zhang et al. 2017 as published, 94.4 % on the 12 classes of Speech Commands "
    "v0.01, not measured here: its own 49 x 10 features and 12 classes, whatever the task"
)
_FILTERS, _BLOCKS = 64, 4
_POSITIONS = 25 * 5  # of 49 frames x 10 MFCCs at a stride of 2 x 2, padded


def ds_cnn_counts(*, weights_once: bool = False) -> list[Counts]:
    """Return the counts of the small depthwise separable convolutional network (DS-CNN).

    Of Zhang, Suda, Lai and Chandra 2017, "Hello Edge", https://arxiv.org/abs/1711.07128, as their
    scripts have it (https://github.com/ARM-software/ML-KWS-for-MCU, ``train_commands.txt``): 64
    filters of 10 x 4 at a stride of 2 x 2 over 49 x 10 MFCCs; four times a depthwise 3 x 3 and a
    pointwise convolution, 64 filters each; the mean over all positions; 12 outputs. Batch
    normalisation is folded into weights and biases. Published: 94.4 % on 12 classes of Speech
    Commands v0.01, 38.6 KB for weights and activations of 8 bits, 5.4 million operations; a
    multiply-accumulate counts as two there.

    Each layer reads its inputs once and writes its outputs; sums are kept in registers.

    Parameters
    ----------
    weights_once : bool
        Whether a weight is kept while it is applied at all positions, as accelerators for
        convolutions do at best; otherwise it is read for each multiply-accumulate, as in the
        other networks.
    """
    values = _POSITIONS * _FILTERS
    found = [_convolution("convolution", 49 * 10, 10 * 4, weights_once)]
    for block in range(1, _BLOCKS + 1):
        found.append(_convolution(f"depthwise {block}", values, 3 * 3, weights_once))
        found.append(_convolution(f"pointwise {block}", values, _FILTERS, weights_once))
    found.append(
        Counts(
            "mean",
            spikes=0.0,
            accumulates=0.0,
            multiply_accumulates=0.0,
            updates=float(_FILTERS),
            multiplications=float(_FILTERS),
            additions=float(values),
            weight_words=0.0,
            neuron_words=float(values + _FILTERS),
            weight_bytes=0,
            neuron_bytes=WORD * (values + _FILTERS),
        )
    )
    return [*found, _dense("output", _FILTERS, DS_CNN_CLASSES)]


def _convolution(name: str, inputs: int, fan_in: int, weights_once: bool) -> Counts:
    """Return the counts of 64 filters at all positions, each of ``fan_in`` weights.

    An output is a sum with a bias, compared with 0 and written.
    """
    outputs, weights = _POSITIONS * _FILTERS, fan_in * _FILTERS
    products = float(outputs * fan_in)
    return Counts(
        name,
        spikes=0.0,
        accumulates=0.0,
        multiply_accumulates=products,
        updates=float(outputs),
        multiplications=0.0,
        additions=2.0 * outputs,
        weight_words=float(weights) if weights_once else products,
        neuron_words=float(inputs + outputs + (_FILTERS if weights_once else outputs)),
        weight_bytes=WORD * weights,
        neuron_bytes=WORD * (inputs + outputs + _FILTERS),
    )


def _dense(name: str, inputs: int, outputs: int) -> Counts:
    """Return the counts of a fully connected layer that is computed once."""
    return layer(
        name,
        size=outputs,
        steps=1,
        update=with_bias(_PLAIN_OUTPUT),
        multiply_accumulates=float(inputs * outputs),
        weights=inputs * outputs,
        inputs=float(inputs),
        input_size=inputs,
    )
