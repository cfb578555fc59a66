# SPDX-License-Identifier: MPL-2.0
"""Sentences of common words, spoken by synthetic voices: connected speech without keywords."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srnn.data.fetch.dataroot import SYNTHETIC_WORDS, publish, scratch
from srnn.data.sources.synthetic.acoustics import recorded
from srnn.data.sources.synthetic.clips import at_rate, speak, utterance, write_recording
from srnn.data.sources.synthetic.corpus import make_once, training_voices
from srnn.data.sources.synthetic.pronunciation import unlike
from srnn.data.sources.synthetic.speakers import digest, generator, speakers_of
from srnn.data.sources.synthetic.words import COMMON_WORDS

_SENTENCES = 240  # about 20 minutes
_WORDS = 14  # of each, drawn at random


@dataclass(frozen=True)
class Sentences:
    """Recordings of one sentence each, by the training voices.

    Attributes
    ----------
    keywords : sequence of str
        These, and words that sound like one, are in no sentence.
    sample_rate : int
        Of the recordings (Hz).
    seed : int
        Of words, ways of speaking, rooms and noises.
    """

    keywords: Sequence[str]
    sample_rate: int
    seed: int

    def make(self, dataroot: Path) -> Path:
        """Make them in a data root, which is created if missing, unless they are there already.

        Returns
        -------
        Path
            ``SyntheticWords/sentences-<digest of their definition>``: the recordings.

        Raises
        ------
        InputError
            If espeakng-loader is not installed, or the disk cannot be written.
        """
        keywords = sorted(set(self.keywords))
        made_for = (COMMON_WORDS, _SENTENCES, _WORDS, keywords, self.sample_rate, self.seed)
        definition = digest(*training_voices(), *made_for)
        folder = dataroot / SYNTHETIC_WORDS / f"sentences-{definition[:12]}"
        make_once(dataroot, folder, self._make)
        return folder

    def _make(self, folder: Path) -> None:
        words, random = unlike(sorted(set(self.keywords))), generator("sentences", self.seed)
        speakers = speakers_of("training", self.seed)
        cast = [speakers[index] for index in random.choice(len(speakers), _SENTENCES)]
        texts = [" ".join(random.choice(words, _WORDS)) for _ in cast]
        speeches = speak(
            [utterance(text, speaker, random) for text, speaker in zip(texts, cast, strict=True)]
        )
        with scratch(folder) as unfinished:
            for index, (speech, speaker) in enumerate(zip(speeches, cast, strict=True)):
                voice = at_rate(speech, speaker, self.sample_rate)
                clip = recorded(voice, random, self.sample_rate, len(voice))
                write_recording(unfinished / f"{index:04}.wav", clip, self.sample_rate)
            publish(unfinished, folder)
