# SPDX-License-Identifier: MPL-2.0
"""The keys of a configuration: one class per table, one field per key.

A field states everything there is to say about its key: type, range, default, meaning and unit.
Error messages and the table in the README are derived from it (see `writing`). What several keys
must satisfy together stands in `relations`.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from srnn.data.task import DataKeys
from srnn.features.normaliser import NormalisationKeys
from srnn.features.reference import ClipKeys, MelKeys
from srnn.log import LoggerKeys
from srnn.settings import MANY, STEPS, Keys, key
from srnn.training.device import CudaKeys
from srnn.training.loop import TrainingKeys

_Size = Annotated[int, Field(ge=1, le=4096)]
_Sizes = Annotated[tuple[_Size, ...], Strict(False), Field(min_length=1)]
_Switches = Annotated[tuple[bool, ...], Strict(False), Field(min_length=1)]
_Distribution = Annotated[
    tuple[
        Annotated[float, Field(gt=0, title="mean")],
        Annotated[float, Field(ge=0, title="standard deviation")],
    ],
    Strict(False),
]
_Limits = Annotated[
    tuple[
        # exp(-1 / tau) and its derivative must be normal numbers of float32.
        Annotated[float, Field(ge=0.05, le=1e6, title="low")],
        Annotated[float, Field(ge=0.05, le=1e6, title="high")],
    ],
    Strict(False),
]


class DataConfig(DataKeys, NormalisationKeys):
    """Where the recordings come from, which classes they make, and how features are normalised."""


class SrnnConfig(TrainingKeys, ClipKeys):
    """The network, its training, and the length of a clip."""

    network_size: _Size | _Sizes = key(
        256,
        "number of neurons of each hidden layer, first to last; a single number N means [N, N]",
        "neurons",
        shapes_weights=True,
    )
    bias: bool = key(
        True,
        "whether the layers have biases",
        shapes_weights=True,
        idle_if={"srnn.batch_norm": True},
    )
    neuron: Literal["adaptive_threshold", "adaptive_current"] = key(
        "adaptive_threshold",
        "neuron model of the hidden layers: `adaptive_threshold`, adaptive LIF with a "
        "threshold that rises with each spike (Yin et al. 2021); `adaptive_current`, adaptive "
        "LIF with an adaptation current that is driven by potential and spikes (RadLIF, Bittar "
        "and Garner 2022)",
        shapes_weights=True,
    )
    recurrent: Literal["auto"] | _Switches = key(
        "auto",
        "recurrent connections: one true or false for each hidden layer; `auto`: all layers "
        "but the first are recurrent",
        shapes_weights=True,
    )
    encoder: Literal["ternary", "none"] = key(
        "ternary",
        "input encoding: `ternary`, events of -1, 0 and 1 from a learnable threshold on the "
        "features; `none`, the features themselves as an input current",
        shapes_weights=True,
    )
    batch_norm: bool = key(
        False,
        "batch normalisation of the feed-forward input currents of each hidden layer, over "
        "batch and time; the layers then have no biases",
        shapes_weights=True,
    )
    dropout: float = key(
        0.0,
        "dropout probability of the spikes of hidden neurons; a neuron is dropped for a whole clip",
        ge=0,
        lt=1,
    )
    readout: Literal["mean", "last", "max"] = key(
        "mean",
        "readout: `mean`, `last` or `max` of the readout potentials over time",
        shapes_weights=True,
    )
    readout_scale: float = key(
        1.0,
        "factor of the readout potentials before the softmax (inverse temperature)",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    unknown_readouts: int = key(
        1,
        "number of outputs for `_unknown_`: one for each of its words with the most training "
        "clips, the last for all other words; their probabilities are summed",
        "outputs",
        ge=1,
        le=1000,
    )
    surrogate: Literal["multi_gaussian", "gaussian", "linear", "slayer"] = key(
        "multi_gaussian",
        "surrogate gradient: function that replaces the derivative of the spike in the "
        "backward pass",
    )
    backend: Literal["auto", "reference"] = key(
        "auto",
        "implementation of the network: `auto`, the compiled kernels of the device; "
        "`reference`, the definition in plain PyTorch (slow)",
    )
    threshold: float = key(
        1.6,
        "firing threshold; of `adaptive_threshold` the baseline, without adaptation",
        gt=0,
        le=1000,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    adaptation: float = key(
        0.184,
        "adaptation strength of `adaptive_threshold`: factor of the filtered spike train in "
        "the threshold",
        ge=0,
        le=1000,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    encoder_threshold: float = key(
        0.05,
        "initial threshold of the ternary encoder, on the normalised features",
        ge=0,
        le=1000,
        idle_if={"srnn.encoder": "none"},
    )
    tau_mem: _Distribution = key(
        (20.0, 5.0),
        "membrane time constants at initialisation: mean and standard deviation of a normal "
        "distribution",
        STEPS,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    tau_adapt: _Distribution = key(
        (200.0, 50.0),
        "adaptation time constants of `adaptive_threshold` at initialisation: mean and "
        "standard deviation of a normal distribution",
        STEPS,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    tau_mem_range: _Limits = key(
        (5.0, 25.0),
        "range of the membrane time constants of `adaptive_current`; at initialisation the "
        "decay exp(-1/tau) is uniform over the range",
        STEPS,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_current"},
    )
    tau_adapt_range: _Limits = key(
        (30.0, 120.0),
        "range of the adaptation time constants of `adaptive_current`; initialised in the same way",
        STEPS,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_current"},
    )
    tau_readout: _Distribution = key(
        (10.0, 1.0),
        "time constants of the readout at initialisation: mean and standard deviation of a "
        "normal distribution",
        STEPS,
    )
    tau_range: _Limits = key(
        (0.1, 10_000.0),
        "range to which all other time constants are clamped",
        STEPS,
        shapes_weights=True,
    )
    firing_start: float = key(
        0.0,
        "firing rate of every hidden layer at initialisation: the input weights are scaled "
        "until the layer has this rate on training clips; 0: no scaling, as in the reference "
        "implementation",
        "spikes per neuron and time step",
        ge=0,
        le=0.5,
    )

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of neurons of each hidden layer, first to last."""
        if isinstance(self.network_size, int):
            return (self.network_size, self.network_size)
        return self.network_size

    @property
    def recurrent_layers(self) -> tuple[bool, ...]:
        """Whether each hidden layer is recurrent, first to last."""
        if isinstance(self.recurrent, tuple):
            return self.recurrent
        return tuple(depth > 0 for depth in range(len(self.layer_sizes)))


class AugmentConfig(Keys):
    """How training clips are varied, anew in every epoch. Nothing else is: not what is measured.

    In this order: silence is cut, clips are shifted and sped up, their volume is changed, noise is
    added; then, of their features, bands are warped and masks laid on; then clips are mixed.
    """

    shift: float = key(
        0.0,
        "time shift: maximum in either direction; the gap is filled with zeros",
        "ms",
        ge=0,
        le=10_000,
    )
    speed: float = key(
        0.0,
        "speed perturbation by resampling, which also changes the pitch: maximum change in "
        "either direction, a multiple of 0.01",
        "fraction of the speed",
        ge=0,
        le=0.5,
    )
    volume: float = key(
        0.0, "volume perturbation: maximum gain in either direction", "dB", ge=0, le=100
    )
    noise: float = key(
        0.0,
        "background noise: probability that a cut of a background recording is added to a clip",
        ge=0,
        le=1,
    )
    noise_level: float = key(
        0.1,
        "background noise: maximum peak of the added noise, drawn uniformly from 0 to this value",
        "fraction of full scale",
        ge=0,
        le=100,
        idle_if={"augment.noise": 0},
    )
    fresh_silence: bool = key(
        False,
        "whether silence clips are cut at a new random position in every epoch",
        idle_if={"data.silence": False},
    )
    time_masks: int = key(
        0,
        "SpecAugment time masks: number of masks for each clip; masked features are set to the "
        "value that is 0 after normalisation",
        ge=0,
        le=100,
    )
    time_mask: int = key(
        10,
        "SpecAugment time masks: maximum width, drawn uniformly from 0 to this value",
        STEPS,
        ge=0,
        le=MANY,
        idle_if={"augment.time_masks": 0},
    )
    band_masks: int = key(
        0, "SpecAugment frequency masks: number of masks for each clip", ge=0, le=100
    )
    band_mask: int = key(
        8,
        "SpecAugment frequency masks: maximum width, drawn uniformly from 0 to this value",
        "mel bands",
        ge=0,
        le=1024,
        idle_if={"augment.band_masks": 0},
    )
    warp: float = key(
        0.0,
        "vocal tract length perturbation (VTLP): maximum stretch of the mel axis in either "
        "direction",
        "fraction",
        ge=0,
        le=0.5,
    )
    mixup: float = key(
        0.0,
        "mixup alpha: two clips and their labels are mixed with a weight drawn from "
        "Beta(alpha, alpha); 0: no mixup",
        ge=0,
        le=100,
    )


class Config(Keys):
    """A whole configuration. `load` checks the relations between its keys, too."""

    data: DataConfig = DataConfig()
    srnn: SrnnConfig = SrnnConfig()
    mel: MelKeys = MelKeys()
    augment: AugmentConfig = AugmentConfig()
    logger: LoggerKeys = LoggerKeys()
    cuda: CudaKeys = CudaKeys()


@cache
def schemas() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the JSON schema of every key, with what it declares, by table and key."""
    tables = {name: type(table) for name, table in Config()}
    return {name: table.model_json_schema()["properties"] for name, table in tables.items()}
