# SPDX-License-Identifier: MPL-2.0
"""The official protocol: classes count equally, as do the words in `_unknown_`.

The test archives of Speech Commands (Warden 2018, https://arxiv.org/abs/1804.03209) draw equally
many clips of each class, those of `_unknown_` from all its words, and silence of any volume. Here
nothing is drawn: each clip has the weight that makes the accuracy that of the mean draw.

Legend: N clips, V speakers, W words, K classes, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from srnn.data.corpus import Clip
from srnn.data.labels import SILENCE, UNKNOWN
from srnn.randomness import Purpose, generator
from srnn.training.evaluation import Evaluation, Json

Interval = tuple[float, float]

_RESAMPLES = 2000


@dataclass(frozen=True)
class OfficialEvaluation(Evaluation):
    """An evaluation whose accuracies weight classes equally, and words of `_unknown_`, too.

    Attributes
    ----------
    recalls : tuple of float or None
        Weighted accuracy of each label; None where it has no clips.
    bootstrap : (float, float) or None
        95 % interval of the accuracy, over samples of the speakers; None without clips.
    bootstraps : tuple of (float, float) or None
        The same of each label.
    false_keywords : float or None
        Fraction of `_unknown_` taken for a keyword, all words weighted equally; None without clips
        of it.
    """

    recalls: tuple[float | None, ...] = ()
    bootstrap: Interval | None = None
    bootstraps: tuple[Interval | None, ...] = ()
    false_keywords: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Mean of the weighted accuracies of the labels; None without clips."""
        return self.balanced_accuracy

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the accuracy, over samples of the speakers; None without clips."""
        return self.bootstrap

    @property
    def per_class(self) -> dict[str, float | None]:
        """Weighted accuracy of each label; None where it has no clips."""
        return dict(zip(self.labels, self.recalls, strict=True))

    @property
    def accuracy_without_silence(self) -> float | None:
        """Mean of the weighted accuracies of the labels but silence; None without clips."""
        found = [
            recall
            for label, recall in self.per_class.items()
            if label != SILENCE and recall is not None
        ]
        return sum(found) / len(found) if found else None

    def to_json(self) -> Json:
        """Return what ``evaluate --protocol official --json`` prints."""
        return super().to_json() | {
            "protocol": "official",
            "per_class_interval": dict(zip(self.labels, self.bootstraps, strict=True)),
            "false_keywords": self.false_keywords,
        }

    def summary(self) -> list[str]:
        """Return the main figures, in lines that fit into a log 80 columns wide."""
        if self.accuracy is None or self.interval is None:
            return [f"{self.partition}: no clips"]
        low, high = self.interval
        lines = [
            f"{self.partition}, official protocol: accuracy {self.accuracy:.2%}",
            f"95 % interval {low:.2%} to {high:.2%}, by a bootstrap over speakers",
            f"{sum(self.counts)} clips; classes count equally, as do words of _unknown_",
        ]
        if self.false_keywords is not None:
            lines.append(f"_unknown_ taken for a keyword: {self.false_keywords:.1%}")
        return lines


def official(evaluation: Evaluation, clips: Sequence[Clip]) -> OfficialEvaluation:
    """Return an evaluation by the official protocol.

    Parameters
    ----------
    evaluation : Evaluation
    clips : sequence of Clip
        Those that were evaluated, in their order.
    """
    labels = evaluation.labels
    words = [clip.word if labels[clip.label] == UNKNOWN else "" for clip in clips]
    kinds = sorted({(clip.label, word) for clip, word in zip(clips, words, strict=True)})
    places = {kind: place for place, kind in enumerate(kinds)}
    kind_of = np.array([places[clip.label, word] for clip, word in zip(clips, words, strict=True)])
    speakers, speaker_of = np.unique([clip.speaker for clip in clips], return_inverse=True)
    predicted = np.array(evaluation.predicted)

    def table(values: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the sums over the clips by speaker and word, (V, W)."""
        sums = np.zeros((len(speakers), len(kinds)))
        np.add.at(sums, (speaker_of, kind_of), values)
        return sums

    counted = table(np.ones(len(clips), np.bool_))
    recognised = table(predicted == np.array([clip.label for clip in clips]))
    keywords = [index for index, label in enumerate(labels) if label not in (SILENCE, UNKNOWN)]
    accepted = table(np.isin(predicted, keywords))
    classes = np.array([label for label, _ in kinds])
    rng = generator(Purpose.PROTOCOL, 0)
    weights = rng.multinomial(len(speakers), np.full(len(speakers), 1 / len(speakers)), _RESAMPLES)
    resampled = _recalls(weights, recognised, counted, classes, len(labels))
    once = np.ones((1, len(speakers)))
    (whole,) = _recalls(once, recognised, counted, classes, len(labels))
    (as_keywords,) = _recalls(once, accepted, counted, classes, len(labels))
    inherited = {field.name: getattr(evaluation, field.name) for field in fields(Evaluation)}
    return OfficialEvaluation(
        **inherited,
        recalls=tuple(map(_fraction, whole)),
        bootstrap=_interval(np.nanmean(resampled, axis=1)),
        bootstraps=tuple(map(_interval, resampled.T)),
        false_keywords=_fraction(as_keywords[labels.index(UNKNOWN)]) if UNKNOWN in labels else None,
    )


def _fraction(figure: np.float64) -> float | None:
    return None if np.isnan(figure) else float(figure)


def _interval(resampled: NDArray[np.float64]) -> Interval | None:
    """Return the 95 % interval of a figure by its values in the resamples, some of them NaN."""
    found = resampled[~np.isnan(resampled)]
    if not len(found):
        return None
    low, high = np.percentile(found, [2.5, 97.5]).tolist()
    return low, high


def _recalls(
    weights: NDArray[np.int64] | NDArray[np.float64],
    recognised: NDArray[np.float64],
    counted: NDArray[np.float64],
    classes: NDArray[np.int64],
    count: int,
) -> NDArray[np.float64]:
    """Return the mean of each class, (R, K), for weights of speakers (R, V); NaN: no clips.

    ``recognised`` and ``counted`` are clips by speaker and word, (V, W); ``classes`` (W,) are the
    labels of the words, which count equally within a class.
    """
    clips = weights @ counted  # (R, W)
    present = clips > 0
    recalls = np.where(present, weights @ recognised / np.where(present, clips, 1), 0)
    member = (classes[:, None] == np.arange(count)).astype(np.float64)  # (W, K)
    words = present @ member  # (R, K)
    return np.where(words > 0, recalls @ member / np.where(words > 0, words, 1), np.nan)
