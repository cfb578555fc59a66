# SPDX-License-Identifier: MPL-2.0
"""Energy and operations of an inference: counted, priced, and compared with other networks.

``keys``
    The table [energy]: what an operation and a memory access cost.
``counts``
    What is counted of a layer, and its energy: a `Row` of the table.
``spiking``
    The counts of a spiking network, by its spikes and densely.
``comparisons``
    The counts of an LSTM of the same sizes and of a small convolutional network.
``table``
    All of it for one network: an `Energy`, its rows, its text and its JSON.

The energy is an estimate for digital hardware that does nothing else; `LEFT_OUT` says what it is
without.
"""

from srnn.energy.counts import Row
from srnn.energy.keys import EnergyKeys
from srnn.energy.spiking import Inference
from srnn.energy.table import LEFT_OUT, Energy, energy_of, table

__all__ = ["LEFT_OUT", "Energy", "EnergyKeys", "Inference", "Row", "energy_of", "table"]
