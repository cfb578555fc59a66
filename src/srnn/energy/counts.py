# SPDX-License-Identifier: MPL-2.0
"""What is counted of a layer, spiking or not, and its energy.

Operations, per inference (the scheme of Yin, Corradi and Bohté 2021,
https://doi.org/10.1038/s42256-021-00397-w: an accumulate for each spike and neuron that it reaches,
multiply-accumulates for what is no spike, and the update of each neuron in each time step):

    E_operations = accumulates E_addition + multiply_accumulates E_multiply_add
                   + multiplications E_multiplication + additions E_addition

Memory traffic, which a count of operations alone leaves out (that it must be counted: Dampfhoffer
et al. 2023, "Are SNNs Really More Energy-Efficient Than ANNs? An In-Depth Hardware-Aware Study",
IEEE Transactions on Emerging Topics in Computational Intelligence 7(3), 731-741):

    weight_words = one for each accumulate and each multiply-accumulate
    neuron_words = inputs + updates (2 state + parameters)
    E_memory     = weight_words E_access(weight_bytes) + neuron_words E_access(neuron_bytes)

State is read and written in each update, parameters are read. An input is read once in a time step,
by the layer as a whole: each event or spike (its address), or each of the values where they are no
events. Sums of a time step are kept in registers. Each layer has two memories of its own, one for
weights and one for neurons with the inputs of a time step; each is the smallest that has room for
them, and all numbers have 32 bits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from srnn.energy.keys import WORD, EnergyKeys
from srnn.network.neurons import Update

_TO_NANO = 1e-3  # from pJ


@dataclass(frozen=True)
class Counts:
    """Operations and memory traffic of a layer, or of several, in one inference.

    Means over inferences, so that counts of spikes need not be whole numbers.

    Attributes
    ----------
    name : str
    spikes : float
        Spikes, or events, that are sent.
    accumulates, multiply_accumulates : float
        Synaptic operations: additions of a weight, and of the product of a weight and a number.
    updates : float
        Updates of neurons: time steps times neurons.
    multiplications, additions : float
        Those of all updates.
    weight_words, neuron_words : float
        Accesses to 32-bit words in the memory of the weights, and in that of the neurons.
    weight_bytes, neuron_bytes : int
        Sizes of these memories.
    """

    name: str
    spikes: float
    accumulates: float
    multiply_accumulates: float
    updates: float
    multiplications: float
    additions: float
    weight_words: float
    neuron_words: float
    weight_bytes: int
    neuron_bytes: int

    @property
    def operations(self) -> float:
        """All operations; a multiply-accumulate is one."""
        return self.accumulates + self.multiply_accumulates + self.multiplications + self.additions

    @property
    def words(self) -> float:
        """All accesses to memory."""
        return self.weight_words + self.neuron_words


@dataclass(frozen=True)
class Row(Counts):
    """A row of the table: what is counted of a layer or a network, and its energy.

    Attributes
    ----------
    operations_nj, memory_nj : float
        Energy of the operations, and of the accesses to memory (nJ).
    note : str
        Of a comparison: what is the same as in the spiking network, and what is not.
    """

    operations_nj: float
    memory_nj: float
    note: str = ""

    @property
    def total_nj(self) -> float:
        """Energy of operations and memory (nJ)."""
        return self.operations_nj + self.memory_nj

    @property
    def memory_share(self) -> float:
        """Fraction of the energy that is memory's; 0 where nothing costs anything."""
        return self.memory_nj / self.total_nj if self.total_nj else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return all fields, and the sums."""
        sums = {"operations": self.operations, "words": self.words, "total_nj": self.total_nj}
        return asdict(self) | sums

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the row that `to_json` made ``content`` of."""
        return cls(**{field.name: content[field.name] for field in fields(cls)})


def layer(
    name: str,
    *,
    size: int,
    steps: int,
    update: Update,
    accumulates: float = 0.0,
    multiply_accumulates: float = 0.0,
    weights: int = 0,
    inputs: float,
    input_size: int,
    spikes: float = 0.0,
) -> Counts:
    """Return the counts of a layer of ``size`` neurons over a number of time steps.

    Parameters
    ----------
    update : Update
        Of one neuron in one time step, the addition of its bias included.
    weights : int
        Weights of the layer.
    inputs : float
        Inputs that are read in the inference.
    input_size : int
        Inputs of a time step, for which there is room.
    """
    updates = float(steps * size)
    return Counts(
        name,
        spikes,
        accumulates,
        multiply_accumulates,
        updates,
        updates * update.multiplications,
        updates * update.additions,
        weight_words=accumulates + multiply_accumulates,
        neuron_words=inputs + updates * (2 * update.state + update.parameters),
        weight_bytes=WORD * weights,
        neuron_bytes=WORD * (input_size + size * (update.state + update.parameters)),
    )


def with_bias(update: Update) -> Update:
    """Return the update of a neuron that also reads and adds a bias."""
    return update._replace(additions=update.additions + 1, parameters=update.parameters + 1)


def priced(counts: Counts, keys: EnergyKeys) -> Row:
    """Return the counts of one layer with their energy, by the formulas of this module."""
    operations = (
        (counts.accumulates + counts.additions) * keys.addition
        + counts.multiply_accumulates * keys.multiply_add
        + counts.multiplications * keys.multiplication
    )
    weights = counts.weight_words * keys.access(counts.weight_bytes)
    neurons = counts.neuron_words * keys.access(counts.neuron_bytes)
    return Row(
        **asdict(counts),
        operations_nj=operations * _TO_NANO,
        memory_nj=(weights + neurons) * _TO_NANO,
    )


def total(name: str, rows: Iterable[Row], note: str = "") -> Row:
    """Return the sum of rows: a network, given its layers."""
    every = list(rows)
    sums = {
        field.name: sum(getattr(row, field.name) for row in every)
        for field in fields(Row)
        if field.name not in ("name", "note")
    }
    return Row(name=name, note=note, **sums)
