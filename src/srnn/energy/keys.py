# SPDX-License-Identifier: MPL-2.0
"""What an operation and a memory access cost.

The defaults are those of a 45 nm process at 0.9 V, for 32-bit floating-point numbers (Horowitz,
"Computing's energy problem (and what we can do about it)", ISSCC 2014, pages 10-14,
https://doi.org/10.1109/ISSCC.2014.6757323). There an access is one of 64 bits: 10 pJ in a memory of
8 kB, 20 pJ in one of 32 kB, 100 pJ in one of 1 MB, 1,300 to 2,600 pJ in DRAM. A 32-bit word is half
of it; of DRAM the lower figure is taken. Newer processes need less for all of them, arithmetic
having gained more than memory.
"""

from srnn.settings import Keys, key

WORD = 4
"""Bytes of a number."""

_KILOBYTE = 1024


class EnergyKeys(Keys):
    """Energy of operations and memory accesses, from which that of an inference is computed.

    The defaults are those of 32-bit floating-point numbers in a 45 nm process (Horowitz, ISSCC
    2014). No key has an effect on training.
    """

    addition: float = key(
        0.9,
        "energy of an addition or a comparison, and of an accumulate that a spike triggers",
        "pJ",
        ge=0,
        le=1e6,
        free_on_resume=True,
    )
    multiplication: float = key(
        3.7, "energy of a multiplication", "pJ", ge=0, le=1e6, free_on_resume=True
    )
    multiply_add: float = key(
        4.6, "energy of a multiply-accumulate", "pJ", ge=0, le=1e6, free_on_resume=True
    )
    access_8kb: float = key(
        5.0,
        "energy of reading or writing a 32-bit word in a memory of at most 8 kB",
        "pJ",
        ge=0,
        le=1e6,
        free_on_resume=True,
    )
    access_32kb: float = key(
        10.0,
        "energy of reading or writing a 32-bit word in a memory of 8 to 32 kB",
        "pJ",
        ge=0,
        le=1e6,
        free_on_resume=True,
    )
    access_1mb: float = key(
        50.0,
        "energy of reading or writing a 32-bit word in a memory of 32 kB to 1 MB",
        "pJ",
        ge=0,
        le=1e6,
        free_on_resume=True,
    )
    access_dram: float = key(
        650.0,
        "energy of reading or writing a 32-bit word in a larger memory, which is DRAM",
        "pJ",
        ge=0,
        le=1e6,
        free_on_resume=True,
    )

    def access(self, size: float) -> float:
        """Return the energy of an access to a word (pJ) in the memory that holds ``size`` bytes.

        It is the smallest of the four in which they have room.
        """
        if size <= 8 * _KILOBYTE:
            return self.access_8kb
        if size <= 32 * _KILOBYTE:
            return self.access_32kb
        if size <= 1024 * _KILOBYTE:
            return self.access_1mb
        return self.access_dram
