# SPDX-License-Identifier: MPL-2.0
"""The extent of the measurements."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes and repetitions of a bench; the defaults are the whole of it.

    Attributes
    ----------
    neurons, batches : tuple of int
        Hidden layers' sizes and batches that are all combined.
    steps : int
        Time steps of a clip.
    typical : tuple of int
        The size and batch at which firing rates, time steps, sizes and batches are varied.
    rates : tuple of float
        Firing rates (spikes per neuron and time step).
    growing_steps, growing_neurons, growing_batches, growing_layers : tuple of int
        What each is varied over.
    clips : int
        Clips of an epoch.
    epochs : int
        Epochs of which the median is taken.
    rounds : int
        Turns of which the median is taken.
    turn : float
        Minimum duration of a turn (s).
    """

    neurons: tuple[int, ...] = (128, 256, 512)
    batches: tuple[int, ...] = (1, 8, 32, 256)
    steps: int = 101
    typical: tuple[int, int] = (256, 32)
    rates: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3)
    growing_steps: tuple[int, ...] = (101, 202, 505, 1010)
    growing_neurons: tuple[int, ...] = (128, 256, 512, 1024)
    growing_batches: tuple[int, ...] = (1, 8, 32, 128, 512)
    growing_layers: tuple[int, ...] = (1, 2, 3, 4)
    clips: int = 2_000
    epochs: int = 3
    rounds: int = 7
    turn: float = 0.1


FULL = Plan()

QUICK = Plan(
    neurons=(256,),
    batches=(1, 32),
    rates=(0.0, 0.1, 0.3),
    growing_steps=(200,),
    growing_neurons=(512,),
    growing_batches=(128,),
    growing_layers=(3,),
    clips=192,
    epochs=1,
    rounds=3,
    turn=0.05,
)
