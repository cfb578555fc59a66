# SPDX-License-Identifier: MPL-2.0
"""The kinds of neurons by name: layers, kernels, configuration and checkpoints look them up here.

To add a kind with kernels, add its folder to this package and its name to `_BUILT_IN`. A folder has

``__init__.py``
    with the subclass of `Neuron` as ``Definition``;
``cpu.py``
    with its functions in numba, see `srnn.network.ops.cpu.neuron`;
``triton.py``
    with its functions in Triton, see `srnn.network.ops.cuda.neuron`.
"""

import functools
import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TypeVar

from srnn.network.neurons.base import Neuron
from srnn.settings import Keys

FOLDER = Path(__file__).parent
"""The files of all kinds, on which what is kept of compiled kernels depends."""

_BUILT_IN = ("adaptive_threshold", "adaptive_current", "lif")

_Kind = TypeVar("_Kind", bound=type[Neuron])


def _folder(name: str) -> str:
    return f"{__package__}.{name}"


WITH_KERNELS: Mapping[str, type[Neuron]] = MappingProxyType(
    {name: import_module(_folder(name)).Definition for name in _BUILT_IN}
)
"""The kinds that kernels can compute."""

_kinds: dict[str, type[Neuron]] = dict(WITH_KERNELS)

NEURONS: Mapping[str, type[Neuron]] = MappingProxyType(_kinds)
"""All kinds, those that a user has registered included."""


def neuron_keys() -> list[type[Keys]]:
    """Return the keys of the kinds of the package, in their order."""
    return [kind.keys for kind in WITH_KERNELS.values()]


def register_neuron(kind: _Kind) -> _Kind:
    """Make a kind of neuron known to configurations and checkpoints by its name.

    Its layers are computed on its definition, which is slow. Can be used as a decorator.

    Parameters
    ----------
    kind : subclass of Neuron

    Raises
    ------
    TypeError
        If the kind lacks something that `Neuron` requires.
    ValueError
        If a kind of the package has its name.
    """
    if not (isinstance(kind, type) and issubclass(kind, Neuron)):
        raise TypeError(f"srnn: expected a subclass of srnn.Neuron, found {kind!r}")
    missing = [each for each in ("name", "learnable") if not hasattr(kind, each)]
    if inspect.isabstract(kind):
        missing += sorted(kind.__abstractmethods__)
    if missing:
        raise TypeError(f"srnn: {kind.__name__} lacks {', '.join(missing)}, see srnn.Neuron")
    if kind.name in WITH_KERNELS:
        raise ValueError(f"srnn: expected a new name for {kind.__name__}, found {kind.name!r}")
    _kinds[kind.name] = kind
    return kind


@functools.cache
def kernel_functions(name: str, language: str) -> ModuleType:
    """Return the module of a kind's functions in a language of kernels, "cpu" or "triton"."""
    if name not in WITH_KERNELS:
        known = ", ".join(WITH_KERNELS)
        raise RuntimeError(f"srnn: expected a neuron with kernels, one of {known}, found {name!r}")
    return import_module(f"{_folder(name)}.{language}")
