# SPDX-License-Identifier: MPL-2.0
"""The energy of an inference of one network beside that of others: rows, text and JSON."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srnn.energy.comparisons import DS_CNN_NOTE, ds_cnn_counts, lstm_counts
from srnn.energy.counts import Row, priced, total
from srnn.energy.keys import EnergyKeys
from srnn.energy.spiking import Inference, counts, dense_counts
from srnn.network.layers import AdaptiveLIF
from srnn.network.model import SpikingNetwork

LEFT_OUT = (
    "Features, control, clocks, leakage, the transport of spikes between chips and the softmax are "
    "left out of all networks."
)
"""What the energy is without."""

_WIDTH = 60  # columns: a line of the log has 19 more
_THIS = "this network"


@dataclass(frozen=True)
class Energy:
    """Operations, memory traffic and energy of an inference.

    Attributes
    ----------
    layers : tuple of Row
        The encoder if there is one, the hidden layers, the readout.
    total : Row
        Their sum.
    comparisons : tuple of Row
        Other networks, see `energy_of`.
    costs : EnergyKeys
        By which the energies were computed.
    """

    layers: tuple[Row, ...]
    total: Row
    comparisons: tuple[Row, ...]
    costs: EnergyKeys

    def to_json(self) -> dict[str, object]:
        """Return what the field ``energy`` of ``test.json`` and ``evaluate --json`` holds."""
        return {
            "layers": [row.to_json() for row in self.layers],
            "total": self.total.to_json(),
            "comparisons": [row.to_json() for row in self.comparisons],
            "verdict": self.verdict,
            "costs": self.costs.model_dump(),
        }

    @property
    def verdict(self) -> str:
        """One sentence: with memory traffic, against which networks this one does not win."""
        return verdict(self.total, self.comparisons)

    def lines(self) -> list[str]:
        """Return the table and the verdict in lines of at most 60 columns.

        Operations and words are in thousands, energies in nJ.
        """
        head = [
            f"{'an inference':20} {'operations':>10} {'words':>8} {'energy':>12} memory",
            f"{'':20} {'1,000':>10} {'1,000':>8} {'nJ':>12} {'of it':>6}",
        ]
        rows = [
            f"{row.name:20} {row.operations / 1e3:>10,.0f} {row.words / 1e3:>8,.0f} "
            f"{row.total_nj:>12,.0f} {row.memory_share:>6.0%}"
            for row in table(self)
        ]
        return [*head, *rows, *textwrap.wrap(self.verdict, _WIDTH)]


def energy_of(network: SpikingNetwork, inference: Inference, keys: EnergyKeys) -> Energy | None:
    """Return the energy of an inference of a network, and of others, by the same formulas.

    The others are: the same network computed densely, every weight in every time step; an LSTM of
    the same inputs, layers and outputs; and the small DS-CNN of Zhang et al. 2017, a convolutional
    network of the same class of accuracy, with a weight read for each operation as in the others,
    and with each weight read once, as no recurrent network can. The first has the accuracy of this
    one. The LSTM was not trained: its accuracy is unknown. The DS-CNN was measured by its authors,
    on other classes. Features are left out of all.

    Parameters
    ----------
    network : SpikingNetwork
    inference : Inference
        What was counted, as a mean over clips.
    keys : EnergyKeys

    Returns
    -------
    Energy or None
        None where a neuron of the network does not state its update, see `Neuron.update`.
    """
    if any(isinstance(each, AdaptiveLIF) and not each.neuron.update for each in network.hidden):
        return None
    layers = tuple(priced(each, keys) for each in counts(network, inference))
    others = (
        (
            "the same, dense",
            dense_counts(network, inference),
            "the same network and accuracy; every weight is read and multiplied in every step",
        ),
        (
            "LSTM, same sizes",
            lstm_counts(network, inference.steps),
            "the same inputs, time steps and layer sizes; it was not trained, and its accuracy is "
            "unknown",
        ),
        ("DS-CNN", ds_cnn_counts(), DS_CNN_NOTE),
        (
            "DS-CNN, weights once",
            ds_cnn_counts(weights_once=True),
            f"{DS_CNN_NOTE}; each weight is read once and applied at all positions",
        ),
    )
    return Energy(
        layers,
        total(_THIS, layers),
        tuple(
            total(name, (priced(each, keys) for each in counted), note)
            for name, counted, note in others
        ),
        keys,
    )


def table(energy: Energy | Mapping[str, Any]) -> list[Row]:
    """Return the rows of the table: the layers, their sum, then each comparison.

    Parameters
    ----------
    energy : Energy, or mapping
        An `Energy`, or its JSON: the field ``energy`` of ``test.json`` or ``evaluate --json``.
    """
    if isinstance(energy, Energy):
        return [*energy.layers, energy.total, *energy.comparisons]
    rows = [*energy["layers"], energy["total"], *energy["comparisons"]]
    return [Row.from_json(row) for row in rows]


def verdict(this: Row, others: Sequence[Row]) -> str:
    """Return the sentence that says against which networks ``this`` does not win.

    Those are the ones whose energy, memory traffic included, is not higher; beside it is the ratio
    by operations alone, which leaves most of the energy out.
    """
    lost = [other for other in others if this.total_nj >= other.total_nj]
    if not lost:
        nearest = min(others, key=lambda other: other.total_nj)
        return (
            "With memory traffic it needs less energy than each of these: "
            f"{_ratio(this.total_nj, nearest.total_nj)} times that of the nearest "
            f"({nearest.name})."
        )
    against = "; ".join(
        f"{_ratio(this.total_nj, other.total_nj)} times the energy of {other.name} (by operations "
        f"alone {_ratio(this.operations_nj, other.operations_nj)} times)"
        for other in lost
    )
    return f"It does not win everywhere: with memory traffic it needs {against}."


def _ratio(this: float, other: float) -> str:
    """Return a ratio with two digits or more; where both are 0, 1."""
    if not other:
        return "1" if not this else "infinitely many"
    ratio = this / other
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
