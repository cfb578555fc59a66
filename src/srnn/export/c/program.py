# SPDX-License-Identifier: MPL-2.0
"""The C program of a trained network: its files, and how much memory it needs."""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from srnn.data.labels import keywords
from srnn.errors import InputError
from srnn.export.c.features import feature_code
from srnn.export.c.network import network_code
from srnn.export.c.tables import Member, constant, literal, struct_size
from srnn.export.c.weights import Weights
from srnn.runs.recogniser import Recogniser
from srnn.training.spotter import Spotter
from srnn.version import VERSION

FILES = ("srnn.h", "srnn.c", "listen.c", "Makefile")

_WORDS = {"double": 0, "float": 1, "int32_t": 2, "uint32_t": 3, "int16_t": 4, "int8_t": 5}


_MARK = "Made by `srnn export`"  # in srnn.h


@dataclass(frozen=True)
class Program:
    """A C program.

    Attributes
    ----------
    files : dict of str
        Content by name.
    ram : int
        Size of its memory, ``srnn_memory`` (bytes).
    tables : int
        Size of its constant tables (bytes).
    spotter : Spotter
        What it computes: the network with the weights that it holds.
    weights : "float32" or "int8"
    """

    files: dict[str, str]
    ram: int
    tables: int
    spotter: Spotter
    weights: Weights

    def write(self, folder: Path) -> None:
        """Write its files into a folder, which is made if missing, in the place of earlier ones.

        Raises
        ------
        InputError
            If that is not possible, or files of these names are not those of an earlier export.
        """
        present = [name for name in self.files if (folder / name).exists()]
        header = folder / "srnn.h"
        if present and not (header.is_file() and _MARK in header.read_text(errors="replace")):
            raise InputError(
                f"--output {folder}: expected a folder without {present[0]}, or one that an "
                "earlier export wrote, found another"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in self.files.items():
                (folder / name).write_text(content, encoding="utf-8", newline="\n")
        except OSError as error:
            found = error.strerror or error
            raise InputError(
                f"--output {folder}: expected a folder to write into, found {found}"
            ) from error


def program_of(recogniser: Recogniser, weights: Weights) -> Program:
    """Return the C program of a trained network.

    Raises
    ------
    InputError
        If its configuration has something that the program cannot compute.
    """
    spotter = recogniser.spotter
    features = feature_code(recogniser.extract, spotter.normaliser)
    network = network_code(spotter.network, weights)
    tables = [*features.tables, *network.tables]
    members = sorted(
        [*features.members, *network.members, *_counters(recogniser)],
        key=lambda member: _WORDS[member.type],
    )
    ram, listen = struct_size(members), recogniser.config.listen
    labels = recogniser.labels
    values = features.constants | network.constants
    values |= {
        "version": VERSION,
        "members": members,
        "ram": ram,
        "tables": tables,
        "labels": list(map(literal, labels)),
        "keywords": len(keywords(labels)),
        "interval": max(1, round(listen.interval / 1000 * values["rate"])),
        "averaged": max(1, round(listen.average / listen.interval)),
        "listen_threshold": constant(listen.threshold),
        "refractory": constant(listen.refractory / 1000, "double"),
    }
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 # C is no HTML
    )
    templates.globals["constant"] = constant
    update = templates.get_template(values["neuron_template"]).render(values).rstrip("\n")
    files = {
        name: templates.get_template(f"{name}.jinja").render(values, update=update)
        for name in FILES
    }
    size = sum(table.nbytes for table in tables)
    computed = Spotter(spotter.normaliser, network.network).eval()
    return Program(files, ram, size, computed, weights)


def _counters(recogniser: Recogniser) -> list[Member]:
    return [
        Member("uint32_t", "filled", 0, "samples of the next frame that are there"),
        Member("uint32_t", "frames", 0, "so far"),
        Member("uint32_t", "steps", 0, "of the network so far"),
        Member("int16_t", "samples", recogniser.extract.spec.n_fft, "of the next frame"),
    ]
