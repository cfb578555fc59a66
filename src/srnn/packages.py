# SPDX-License-Identifier: MPL-2.0
"""The optional packages, by the group of pyproject.toml that has them."""

from importlib.util import find_spec

from srnn.errors import InputError

GROUPS = {
    "export": {
        "nir": "nir",
        "onnx": "onnx",
        "onnxruntime": "onnxruntime",
        "onnxscript": "onnxscript",  # torch.onnx needs it
    },
    "microphone": {"sounddevice": "sounddevice"},
    "neurobench": {"neurobench": "neurobench"},
    "sweep": {"optuna": "optuna", "psycopg": "'psycopg[binary]'", "sqlalchemy": "sqlalchemy"},
    "synthetic": {"espeakng_loader": "espeakng-loader"},
    "tensorboard": {"tensorboard": "tensorboard"},
}
"""The modules of each group, and what pip calls their packages."""


def expect_packages(user: str, group: str, *modules: str) -> None:
    """Check that optional packages are installed.

    Parameters
    ----------
    user : str
        The command or key that needs them, for the message.
    group : str
        One of `GROUPS`.
    *modules : str
        What is imported; all of the group if none is given.

    Raises
    ------
    InputError
        Naming the first that is missing, and how to install the group.
    """
    packages = GROUPS[group]
    for name in modules or packages:
        if find_spec(name) is None:
            raise InputError(
                f"{user}: expected the package {name}, found none: run `pip install "
                f"{' '.join(packages.values())}` (or `pdm install -G {group}`)"
            )
