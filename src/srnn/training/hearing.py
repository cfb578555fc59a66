# SPDX-License-Identifier: MPL-2.0
"""From a clip on disk to its features: the work of the data workers.

Kept free of torch, so that a worker process starts quickly.
"""

import numpy as np
from numpy.typing import NDArray

from srnn.data import audio
from srnn.data.corpus import Clip
from srnn.features.reference import MelSpec, features


def hear(clip: Clip, spec: MelSpec) -> NDArray[np.float32]:
    """Return the features of a clip, shape ``spec.shape``.

    Raises
    ------
    InputError
        If the file is no recording.
    """
    return features(audio.read(clip.path, spec.sample_rate, clip.start, clip.frames), spec)
