# SPDX-License-Identifier: MPL-2.0
"""Configuration keys of the synthetic corpus."""

from srnn.settings import MANY, Keys, key

NAME = "synthetic"
"""The ``data.gsc_url`` of the synthetic data set."""


class SyntheticKeys(Keys):
    """Words of synthetic voices."""

    synthetic_unknown: int = key(
        0,
        "number of synthetic training clips added to `_unknown_`: about 700 common words, "
        "without those that sound like a keyword, spoken by the speech synthesiser",
        "clips",
        ge=0,
        le=MANY,
    )
    synthetic_clips: int = key(
        325,
        'size of the synthetic data set (`gsc_url = "synthetic"`)',
        "clips per word",
        ge=20,
        le=10_000,
        idle_unless={"data.gsc_url": NAME},
    )
