# SPDX-License-Identifier: MPL-2.0
"""The keys of a configuration: one class per table, one field per key.

A field states everything there is to say about its key: type, range, default, meaning and unit.
Error messages and the table in the README are derived from it (see `writing`). What several keys
must satisfy together stands in `relations`.
"""

import math
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from srnn.data.task import DataKeys
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


class DataConfig(DataKeys):
    """Where the recordings come from and which classes they make."""

    normalisation: Literal["dataset", "standardise", "batch"] = key(
        "dataset",
        "whose standard deviation divides the features: that of the training partition, the same "
        "after its mean is subtracted (`standardise`), or that of each batch as in the reference "
        "(a prediction then depends on its batch)",
        shapes_weights=True,
    )


class SrnnConfig(TrainingKeys):
    """The network, its training, and the length of a clip."""

    network_size: _Size | _Sizes = key(
        256,
        "size of every hidden layer in order; N alone means [N, N]",
        "neurons",
        shapes_weights=True,
    )
    size: int = key(
        16_000,
        "length every clip is padded or cut to",
        "samples",
        ge=1,
        le=10_000_000,
        shapes_weights=True,
    )
    sample_rate: int = key(
        16_000,
        "sample rate every clip is brought to",
        "Hz",
        ge=1_000,
        le=192_000,
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
        "what adapts in a hidden neuron: its threshold, raised by its spikes (the reference's), or "
        "a current that potential and spikes feed and that counteracts the input (RadLIF)",
        shapes_weights=True,
    )
    recurrent: Literal["auto"] | _Switches = key(
        "auto", "which hidden layers are recurrent; `auto`: all but the first", shapes_weights=True
    )
    encoder: Literal["ternary", "none"] = key(
        "ternary",
        "what the first layer sees: ternary events, or the features themselves, as a current",
        shapes_weights=True,
    )
    batch_norm: bool = key(
        False,
        "whether the currents that come from below are normalised over time and batch; with it no "
        "layer has a bias",
        shapes_weights=True,
    )
    dropout: float = key(
        0.0,
        "share of the neurons, others for each clip, whose spikes the layer above does not see in "
        "training",
        ge=0,
        lt=1,
    )
    readout: Literal["mean", "last", "max"] = key(
        "mean",
        "which potential of the readout counts: its mean over time, the last, the largest",
        shapes_weights=True,
    )
    readout_scale: float = key(
        1.0,
        "what these potentials are multiplied by before the softmax",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    unknown_readouts: int = key(
        1,
        "readouts of `_unknown_`, whose probabilities add up: one for each of the words in it that "
        "have most training clips, and one for all others",
        ge=1,
        le=1000,
    )
    surrogate: Literal["multi_gaussian", "gaussian", "linear", "slayer"] = key(
        "multi_gaussian", "what stands in for the derivative of a spike"
    )
    backend: Literal["auto", "reference"] = key(
        "auto",
        "what computes the network: the fast kernels of the device, or their plain definition, "
        "slowly",
    )
    threshold: float = key(
        1.6,
        "firing threshold of `adaptive_threshold`, before its adaptation is added",
        gt=0,
        le=1000,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    adaptation: float = key(
        0.184,
        "how strongly past spikes raise the threshold of `adaptive_threshold`",
        ge=0,
        le=1000,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    encoder_threshold: float = key(
        0.05,
        "size a feature must exceed to become a spike, at the start of training",
        ge=0,
        le=1000,
        idle_if={"srnn.encoder": "none"},
    )
    tau_mem: _Distribution = key(
        (20.0, 5.0),
        "membrane time constants of `adaptive_threshold` at the start of training",
        STEPS,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    tau_adapt: _Distribution = key(
        (200.0, 50.0),
        "time constants of the adaptation of `adaptive_threshold` at the start of training",
        STEPS,
        idle_unless={"srnn.neuron": "adaptive_threshold"},
    )
    tau_mem_range: _Limits = key(
        (5.0, 25.0),
        "limits of the membrane time constants of `adaptive_current`; at the start what they leave "
        "after a step is evenly spread",
        STEPS,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_current"},
    )
    tau_adapt_range: _Limits = key(
        (30.0, 120.0),
        "the same of its adaptation",
        STEPS,
        shapes_weights=True,
        idle_unless={"srnn.neuron": "adaptive_current"},
    )
    tau_readout: _Distribution = key(
        (10.0, 1.0), "time constants of the readout at the start of training", STEPS
    )
    tau_range: _Limits = key(
        (0.1, 10_000.0),
        "limits within which every other time constant is kept",
        STEPS,
        shapes_weights=True,
    )
    firing_start: float = key(
        0.0,
        "firing rate of every hidden layer before training: its input weights are scaled until it "
        "fires so on training clips; 0: they stay as they are drawn, as in the reference",
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


class MelConfig(Keys):
    """The features of a clip."""

    features: Literal["reference", "log_mel"] = key(
        "reference",
        "power of the mel bands relative to the loudest, as log(1 + x), each band divided by its "
        "deviation within the clip, or the logarithm of their power as it is",
        shapes_weights=True,
    )
    floor: float = key(
        1e-6,
        "power that `log_mel` adds to each band, below which nothing is heard; a sine of full "
        "scale has some hundreds",
        ge=1e-7,
        le=1000,
        shapes_weights=True,
        idle_unless={"mel.features": "log_mel"},
    )
    window: float = key(
        30.0,
        "length of the stretch of sound that a frame is taken of, in whole samples (rounded down)",
        "ms",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    hop: float = key(
        10.0,
        "time from one frame to the next, the time step of the network, in whole samples (rounded "
        "down); time constants, masks and deltas span as many steps whatever it is, and so more or "
        "less time",
        "ms",
        gt=0,
        le=1000,
        shapes_weights=True,
    )
    delta_order: int = key(
        2,
        "highest order of time differences (deltas) of the features; 0: none",
        ge=0,
        le=8,
        shapes_weights=True,
    )
    fmax: float = key(4000.0, "highest frequency of the mel bands", "Hz", gt=0, shapes_weights=True)
    fmin: float = key(20.0, "lowest frequency of the mel bands", "Hz", ge=0, shapes_weights=True)
    n_mels: int = key(40, "number of mel bands", ge=1, le=1024, shapes_weights=True)
    stack: bool = key(
        True,
        "whether the features and all their deltas are used, or the highest delta alone",
        shapes_weights=True,
    )


class AugmentConfig(Keys):
    """How training clips are varied, anew in every epoch. Nothing else is: not what is measured.

    In this order: silence is cut, clips are shifted and sped up, their volume is changed, noise is
    added; then, of their features, bands are warped and masks laid on; then clips are mixed.
    """

    shift: float = key(
        0.0,
        "most that a clip is moved in time, either way; what is uncovered is zeros",
        "ms",
        ge=0,
        le=10_000,
    )
    speed: float = key(
        0.0,
        "most by which a clip is faster or slower, and higher or lower with it, in steps of 0.01",
        "share of its speed",
        ge=0,
        le=0.5,
    )
    volume: float = key(0.0, "most by which a clip is louder or quieter", "dB", ge=0, le=100)
    noise: float = key(
        0.0,
        "how probably a cut from a background recording, scaled to full scale, is added to a clip, "
        "times a number up to `noise_level`",
        ge=0,
        le=1,
    )
    noise_level: float = key(
        0.1,
        "largest peak of what is added",
        "share of full scale",
        ge=0,
        le=100,
        idle_if={"augment.noise": 0},
    )
    fresh_silence: bool = key(
        False,
        "whether silence is cut anew from its recording in every epoch",
        idle_if={"data.silence": False},
    )
    time_masks: int = key(
        0,
        "masks over time on the features of a clip; what they cover is 0 to the network (`mixup` "
        "comes later)",
        ge=0,
        le=100,
    )
    time_mask: int = key(
        10,
        "longest such mask, the shortest being none",
        STEPS,
        ge=0,
        le=MANY,
        idle_if={"augment.time_masks": 0},
    )
    band_masks: int = key(0, "masks over mel bands on the features of a clip", ge=0, le=100)
    band_mask: int = key(
        8,
        "widest such mask, the narrowest being none",
        "bands",
        ge=0,
        le=1024,
        idle_if={"augment.band_masks": 0},
    )
    warp: float = key(
        0.0,
        "most by which the mel bands of a clip are stretched, either way: other vocal tracts",
        "share of their place",
        ge=0,
        le=0.5,
    )
    mixup: float = key(
        0.0,
        "evenness of the mixtures of two clips, with their labels, that training hears: alpha of "
        "the beta distribution of their shares; 0: clips stay by themselves",
        ge=0,
        le=100,
    )


class LoggerConfig(Keys):
    """The log."""

    level: Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"] = key(
        "INFO", "least severity that is logged", free_on_resume=True
    )


class Config(Keys):
    """A whole configuration. `load` checks the relations between its keys, too."""

    data: DataConfig = DataConfig()
    srnn: SrnnConfig = SrnnConfig()
    mel: MelConfig = MelConfig()
    augment: AugmentConfig = AugmentConfig()
    logger: LoggerConfig = LoggerConfig()
    cuda: CudaKeys = CudaKeys()

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self._samples(self.mel.hop)

    @property
    def n_fft(self) -> int:
        """Samples in the window of one frame."""
        return self._samples(self.mel.window)

    @property
    def frames(self) -> int:
        """Frames (time steps) of one clip, the first centred on its first sample."""
        padded = self.srnn.size + 2 * (self.n_fft // 2)
        return 1 + (padded - self.n_fft) // self.hop

    def _samples(self, milliseconds: float) -> int:
        # 4.35 ms at 100 kHz are 435 samples, and 434.99999999999994 in binary.
        return math.floor(round(milliseconds * self.srnn.sample_rate / 1000, 6))


@cache
def schemas() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the JSON schema of every key, with what it declares, by table and key."""
    tables = {name: type(table) for name, table in Config()}
    return {name: table.model_json_schema()["properties"] for name, table in tables.items()}
