# SPDX-License-Identifier: MPL-2.0
"""A trained network in use: from recordings to the words in them."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from srnn.config import Config
from srnn.data import audio
from srnn.data.levels import FULL_SCALE
from srnn.data.selection import select_recordings
from srnn.errors import InputError
from srnn.features.batched import MelFeatures
from srnn.features.reference import cut, loudest_window
from srnn.network.activity import Activity, activity
from srnn.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from srnn.runs.parts import spec_of
from srnn.runs.restore import restore_spotter
from srnn.training.spotter import Spotter

UNSURE = 0.5
"""Probability below which a prediction counts as unsure."""

_BATCH = 64  # stretches that are classified at a time


class Prediction(NamedTuple):
    """The prediction for a recording, or for a part of it.

    Attributes
    ----------
    label : str
        The most probable label.
    probability : float
        Its probability.
    probabilities : dict
        The probability of every label, in the order of the labels.
    start, end : float
        Start and end of the classified stretch in the recording (s).
    duration : float
        Length of the recording (s).
    digital_silence : bool
        Whether all samples of the stretch are equal, to 16 bits: nothing was recorded, and the
        label is meaningless.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    start: float
    end: float
    duration: float
    digital_silence: bool

    @property
    def unsure(self) -> bool:
        """Whether the probability is below `UNSURE`."""
        return self.probability < UNSURE


class _Stretch(NamedTuple):
    """A part of a waveform to classify."""

    samples: NDArray[np.float32]  # (n,), at most as many as a clip has
    start: int  # its place in the waveform
    length: int  # samples of the waveform


class Recogniser:
    """Recognises the keyword in a recording.

    Attributes
    ----------
    config : Config
        The configuration that the network was trained with.
    labels : tuple of str
    extract : MelFeatures
        Maps waveforms to features of shape (B, C, T, M).
    spotter : Spotter
        Maps them to an `srnn.network.model.Output`.
    """

    def __init__(self, checkpoint: Checkpoint, source: str = "checkpoint") -> None:
        self.config: Config = checkpoint.parsed_config()
        self.labels = tuple(checkpoint.labels)
        self._source = source
        self.extract = MelFeatures(spec_of(self.config))
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
        return self.predict_waveform(self._read(Path(recording)))

    def predict_waveform(self, waveform: NDArray[np.float32]) -> Prediction:
        """Recognise the word in samples of shape (n,), n >= 1, at ``config.srnn.sample_rate``.

        Raises
        ------
        InputError
            If the network computes NaN or infinity.
        """
        stretch = self._loudest(waveform)
        return self._prediction(stretch, self._probabilities([stretch])[0])

    def predict_each(
        self, names: Iterable[str | Path], *, windows: bool = False
    ) -> Iterator[tuple[Path, Prediction | InputError]]:
        """Recognise the words in many recordings, a batch at a time.

        Parameters
        ----------
        names : iterable of str or Path
            Files, folders and patterns; see `srnn.data.selection.select_recordings`.
        windows : bool
            Whether a recording is classified window by window, each as long as a clip, the last
            at its end. Otherwise only its loudest stretch is.

        Yields
        ------
        path : Path
            A recording, in the order given; or a name without one.
        prediction : Prediction or InputError
            Prediction of the recording, or of each window in order; or the error.
        """
        # With "batch" normalisation a prediction depends on the other clips of the batch.
        size = 1 if self.spotter.normaliser.scale is None else _BATCH
        stretches = self._stretches(names, windows)
        while batch := list(itertools.islice(stretches, size)):
            batch_stretches = [each for _, each in batch if isinstance(each, _Stretch)]
            probabilities = iter(self._probabilities(batch_stretches) if batch_stretches else [])
            for path, each in batch:
                if isinstance(each, InputError):
                    yield path, each
                    continue
                try:
                    yield path, self._prediction(each, next(probabilities))
                except InputError as error:
                    yield path, error

    def _read(self, path: Path) -> NDArray[np.float32]:
        return audio.read(path, self.config.srnn.sample_rate)

    def _stretches(
        self, names: Iterable[str | Path], windows: bool
    ) -> Iterator[tuple[Path, _Stretch | InputError]]:
        """Yield the stretches to classify, or an error for each unreadable recording."""
        for name in names:
            try:
                recordings = select_recordings(name)
            except InputError as error:
                yield Path(name), error
                continue
            for path in recordings:
                try:
                    waveform = self._read(path)
                except InputError as error:
                    yield path, error
                    continue
                for each in self._windows(waveform) if windows else [self._loudest(waveform)]:
                    yield path, each

    def _loudest(self, waveform: NDArray[np.float32]) -> _Stretch:
        size, length = self.config.srnn.size, len(waveform)
        start = loudest_window(waveform, size) if length > size else 0
        samples = waveform[start : start + size].copy()  # frees the rest of the recording
        return _Stretch(samples, start, length)

    def _windows(self, waveform: NDArray[np.float32]) -> Iterator[_Stretch]:
        size, length = self.config.srnn.size, len(waveform)
        last = max(0, length - size)
        for start in (*range(0, last, size), last):
            yield _Stretch(waveform[start : start + size], start, length)

    @torch.inference_mode()
    def _probabilities(self, stretches: Sequence[_Stretch]) -> list[list[float]]:
        """Return the probabilities of the labels of each of N >= 1 stretches."""
        size = self.config.srnn.size
        clips = torch.from_numpy(np.stack([cut(each.samples, size) for each in stretches]))
        features = self.extract(clips)  # those of training, not librosa's
        probabilities: list[list[float]] = self.spotter(features).log_probabilities.exp().tolist()
        return probabilities

    def _prediction(self, stretch: _Stretch, probabilities: list[float]) -> Prediction:
        if not all(map(math.isfinite, probabilities)):
            raise InputError(f"{self._source}: expected a network that yields numbers, found NaN")
        best, rate = int(np.argmax(probabilities)), self.config.srnn.sample_rate
        return Prediction(
            self.labels[best],
            probabilities[best],
            dict(zip(self.labels, probabilities, strict=True)),
            start=stretch.start / rate,
            end=(stretch.start + len(stretch.samples)) / rate,
            duration=stretch.length / rate,
            digital_silence=bool(np.ptp(stretch.samples) * FULL_SCALE < 1),
        )

    def record(self, recording: str | Path | NDArray[np.float32]) -> Activity:
        """Record events, spikes and potentials of the network for a clip.

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
        features = self.extract(torch.from_numpy(self.waveform(recording))[None])
        with torch.inference_mode():
            return activity(self.spotter.network, self.spotter.normaliser(features))

    def waveform(self, recording: str | Path | NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples of the clip that `record` is about, shape (``config.srnn.size``,).

        Parameters and errors: see `record`.
        """
        if isinstance(recording, str | Path):
            waveform = self._read(Path(recording))
        else:
            waveform = np.asarray(recording, np.float32)
            if waveform.ndim != 1 or not waveform.size:
                found = f"shape {waveform.shape}"
                raise InputError(f"waveform: expected samples of shape (n,), n >= 1, found {found}")
            if not np.isfinite(waveform).all():
                raise InputError("waveform: expected finite samples, found NaN or infinity")
        return cut(waveform, self.config.srnn.size)

    @property
    def step(self) -> float:
        """Length of a time step (ms)."""
        return self.extract.spec.step


def load(run: str | Path) -> Recogniser:
    """Load a trained network, on the CPU.

    Parameters
    ----------
    run : str or Path
        A run directory (its ``best.safetensors`` is loaded) or a checkpoint file.

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
