# SPDX-License-Identifier: MPL-2.0
"""A trained network in use: from a recording to the word in it."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from srnn.config import Config
from srnn.data import audio
from srnn.errors import InputError
from srnn.features.batched import MelFeatures
from srnn.features.reference import cut
from srnn.network.activity import Activity, activity
from srnn.training.assemble import make_spec
from srnn.training.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from srnn.training.spotter import Spotter, restore_spotter


class Prediction(NamedTuple):
    """What a network says of one recording.

    Attributes
    ----------
    label : str
        The most probable label.
    probability : float
        Its probability.
    probabilities : dict
        The probability of every label, in the order of the labels.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class Recogniser:
    """Recognises the keyword in a recording.

    Attributes
    ----------
    config : Config
        The configuration that the network was trained with.
    labels : tuple of str
    spotter : Spotter
        Features of shape (B, C, T, M) in, an `srnn.network.model.Output` out.
    """

    def __init__(self, checkpoint: Checkpoint, source: str = "checkpoint") -> None:
        self.config: Config = checkpoint.parsed_config()
        self.labels = tuple(checkpoint.labels)
        self._source = source
        self._extract = MelFeatures(make_spec(self.config))
        trained = restore_spotter(checkpoint, source).eval()
        self.spotter = Spotter(trained.normaliser, trained.network.folded()).eval()

    def predict(self, recording: str | Path) -> Prediction:
        """Recognise the word in an audio file of any format, rate and length.

        Of a recording longer than a clip the loudest stretch counts.

        Raises
        ------
        InputError
            If the file is no recording.
        """
        return self.predict_waveform(audio.read(Path(recording), self.config.srnn.sample_rate))

    @torch.inference_mode()
    def predict_waveform(self, waveform: NDArray[np.float32]) -> Prediction:
        """Recognise the word in samples of shape (n,), n >= 1, at ``config.srnn.sample_rate``.

        Raises
        ------
        InputError
            If the network's numbers are beyond all bounds, as of weights that nobody trained.
        """
        clip = torch.from_numpy(cut(waveform, self.config.srnn.size))
        features = self._extract(clip[None])  # those of training, not librosa's
        probabilities = self.spotter(features).log_probabilities[0].exp().tolist()
        if not all(map(math.isfinite, probabilities)):
            raise InputError(f"{self._source}: expected a network that yields numbers, found NaN")
        best = int(np.argmax(probabilities))
        return Prediction(
            self.labels[best],
            probabilities[best],
            dict(zip(self.labels, probabilities, strict=True)),
        )

    def record(self, recording: str | Path | NDArray[np.float32]) -> Activity:
        """Record what the network does with a clip: events, spikes, potentials, readouts.

        Parameters
        ----------
        recording : str or Path, or array of shape (n,), n >= 1
            An audio file, as `predict` takes it, or samples at ``config.srnn.sample_rate``. Of what
            is longer than a clip the loudest stretch counts.

        Returns
        -------
        Activity
            Arrays by name, see there. Its log-probabilities are the logarithms of what `predict`
            returns, in the order of ``labels``.

        Raises
        ------
        InputError
            If the file is no recording, or the samples are not finite or of another shape.
        """
        srnn = self.config.srnn
        if isinstance(recording, str | Path):
            waveform = audio.read(Path(recording), srnn.sample_rate)
        else:
            waveform = np.asarray(recording, np.float32)
            if waveform.ndim != 1 or not waveform.size:
                found = f"shape {waveform.shape}"
                raise InputError(f"waveform: expected samples of shape (n,), n >= 1, found {found}")
            if not np.isfinite(waveform).all():
                raise InputError("waveform: expected finite samples, found NaN or infinity")
        features = self._extract(torch.from_numpy(cut(waveform, srnn.size))[None])
        with torch.inference_mode():
            return activity(self.spotter.network, self.spotter.normaliser(features))


def load(run: str | Path) -> Recogniser:
    """Load a trained network, on the CPU.

    Parameters
    ----------
    run : str or Path
        A run directory (its ``best.pt`` is loaded) or a checkpoint file.

    Raises
    ------
    InputError
        If there is no checkpoint, or none of this package.

    Examples
    --------
    >>> recogniser = load("runs/quickstart")  # doctest: +SKIP
    >>> recogniser.predict("yes.wav").label  # doctest: +SKIP
    'yes'
    """
    path = checkpoint_path(Path(run))
    return Recogniser(load_checkpoint(path), str(path))
