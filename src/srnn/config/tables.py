# SPDX-License-Identifier: MPL-2.0
"""The tables of a configuration, collected from the keys that components declare.

Pydantic lists the fields of a class's last base first: bases are given in reverse order.
"""

from functools import cache
from typing import Any

from srnn.augment.registry import key_classes
from srnn.data.task import DataKeys
from srnn.detection import ListenKeys
from srnn.energy.keys import EnergyKeys
from srnn.features.normaliser import NormalisationKeys
from srnn.features.reference import ClipKeys, MelKeys
from srnn.log import LoggerKeys
from srnn.network.model import NetworkKeys
from srnn.network.neurons.registry import NEURONS, neuron_keys
from srnn.network.scaling import ScalingKeys
from srnn.settings import Keys
from srnn.training.device import CudaKeys
from srnn.training.loop import TrainingKeys
from srnn.training.selection import SelectionKeys


class DataConfig(SelectionKeys, NormalisationKeys, DataKeys):
    """The recordings, their classes, how features are normalised and the best epoch is chosen."""


class SrnnConfig(
    ScalingKeys,
    TrainingKeys,
    ClipKeys,
    *reversed(neuron_keys()),  # type: ignore[misc] # from a registry
    NetworkKeys,
):
    """The network, its training, and the length of a clip."""


class AugmentConfig(*reversed(key_classes())):  # type: ignore[misc] # from a registry
    """Augmentation of training clips, with new draws in every epoch.

    Waveforms: silence is cut anew, words are joined to non-words, clips are shifted and sped up,
    their volume is changed, noise is added. Features: mel bands are warped, masks are laid on,
    clips are mixed.
    """


class Config(Keys):
    """A whole configuration. `load` checks the relations between its keys, too."""

    data: DataConfig = DataConfig()
    srnn: SrnnConfig = SrnnConfig()
    mel: MelKeys = MelKeys()
    augment: AugmentConfig = AugmentConfig()
    logger: LoggerKeys = LoggerKeys()
    cuda: CudaKeys = CudaKeys()
    listen: ListenKeys = ListenKeys()
    energy: EnergyKeys = EnergyKeys()


def schemas() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the JSON schema of every key, with what it declares, by table and key."""
    return _schemas(tuple(NEURONS))


@cache
def _schemas(neurons: tuple[str, ...]) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {
        name: type(table).model_json_schema()["properties"] for name, table in Config()
    }
    found["srnn"]["neuron"]["enum"] = list(neurons)
    summaries = (f"`{kind}`, {NEURONS[kind].summary}" for kind in neurons)
    found["srnn"]["neuron"]["description"] += f": {'; '.join(summaries)}"
    own = {name for keys in neuron_keys() for name in keys.model_fields}
    for name in own - NetworkKeys.model_fields.keys():
        readers = [kind for kind in neurons if name in NEURONS[kind].keys.model_fields]
        found["srnn"][name]["idle_unless"] = {"srnn.neuron": readers}
    return found
