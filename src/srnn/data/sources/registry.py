# SPDX-License-Identifier: MPL-2.0
"""The sources of data sets: to add one, write its module and list it here."""

from pathlib import Path
from typing import Protocol

from srnn.data.dataset import DataSet
from srnn.data.sources import manifest
from srnn.data.sources.folder import source as folder
from srnn.data.sources.synthetic import source as synthetic
from srnn.data.task import Task


class Source(Protocol):
    """What the module of a source defines.

    A clip is found by the name of its file in the folder of the data set, and has a word and a
    partition; see `srnn.data.dataset`. Problems are an `InputError` with a line each.
    """

    def fits(self, url: str, /) -> bool:
        """Whether ``data.gsc_url`` names this source; the first one in the list is taken."""

    def get(self, task: Task, /) -> DataSet:
        """Return the data set to train on; fetch or make it where it is missing."""

    def find(self, task: Task, /) -> DataSet:
        """Return the data set that was trained on; nothing is fetched or made."""

    def missing(self, task: Task, /) -> str:
        """Return what `get` would fetch or make, as ``data set NAME``; empty: nothing."""


SOURCES: tuple[Source, ...] = (synthetic, manifest, folder)


def source_of(url: str) -> Source:
    """Return the source that ``data.gsc_url`` names."""
    return next(source for source in SOURCES if source.fits(url))


def at(place: Path, gsc_url: str) -> DataSet:
    """Return the data set at a place of the user's, ``--dataroot``: a data root, or a manifest.

    Raises
    ------
    InputError
        There is none; or there are several, none of which is called ``gsc_url``.
    """
    if manifest.fits(str(place)) and not place.is_dir():
        return manifest.read(place, "--dataroot")
    return folder.at(place, gsc_url, f"--dataroot {place}")
