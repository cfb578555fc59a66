# SPDX-License-Identifier: MPL-2.0
"""Whether the optional packages of sweeps are installed."""

from importlib.util import find_spec

from srnn.errors import InputError


def expect_optuna(*, postgresql: bool = False) -> None:
    """Check that Optuna is installed, and if need be what it connects to PostgreSQL with.

    Raises
    ------
    InputError
        Naming the missing package.
    """
    needed = ["optuna", *(["psycopg", "sqlalchemy"] if postgresql else [])]
    for name in needed:
        if find_spec(name) is None:
            raise InputError(
                f"sweeps: expected the package {name}, found none: run `pip install optuna "
                "'psycopg[binary]' sqlalchemy` (or `pdm sync --prod -G sweep`)"
            )
