# SPDX-License-Identifier: MPL-2.0
"""Read a configuration file and its overrides, and name everything that is wrong with them."""

import copy
from collections.abc import Sequence
from pathlib import Path

import tomli

from srnn.config.messages import Document, Place, expected_found, key_problems
from srnn.config.overrides import override
from srnn.config.relations import broken_relations
from srnn.config.tables import Config
from srnn.config.writing import toml_value
from srnn.errors import InputError

_PACKAGE = Path(__file__).parents[1]


def load(
    name: str | Path, overrides: Sequence[str] = (), *, overridden_by: str = "--set "
) -> Config:
    """Read and validate a configuration.

    Parameters
    ----------
    name : str or Path
        A TOML file; a bare name is looked up as `find` does.
    overrides : sequence of str
        ``table.key=value`` each, later ones first in rank. The value is TOML, or, where it is
        not, a plain string.
    overridden_by : str
        Begins the problem of an override; ``table.key`` follows.

    Returns
    -------
    Config
        With every key; keys the file does not mention have their defaults.

    Raises
    ------
    InputError
        If anything is wrong. Its text lists all problems, a line each, that starts with the
        file, or with ``--set`` where an override is at fault.
    """
    try:
        path = find(name)
        document = parse(path)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from error

    overridden, problems = override(document, overrides)
    return _validated(document, str(path), overridden, problems, overridden_by)


def from_tables(tables: Document, source: str) -> Config:
    """Validate the tables of a configuration that was read from `source`, such as a checkpoint.

    Raises
    ------
    InputError
        As `load` does.
    """
    return _validated(copy.deepcopy(tables), source, set(), [])


def with_overrides(config: Config, overrides: Sequence[str], table: str) -> Config:
    """Return a configuration with ``table.key=value`` replaced, keys of one table alone.

    Raises
    ------
    InputError
        As `load` does, or if an override is of another table.
    """
    for each in overrides:
        if not each.strip().startswith(f"{table}."):
            raise InputError(f"--set {each}: expected a key of [{table}]")
    document = config.model_dump(mode="json")
    overridden, problems = override(document, overrides)
    return _validated(document, "the run", overridden, problems)


def _validated(
    document: Document,
    path: str,
    overridden: set[Place],
    problems: list[str],
    overridden_by: str = "--set ",
) -> Config:
    """Return the configuration, or raise `problems` and everything else that is wrong with it."""

    def report(places: Sequence[Place], text: str) -> None:
        is_override = any(place[: len(at)] == at for place in overridden for at in places)
        source = overridden_by if is_override else f"{path}: "
        problems.append(f"{source}{'.'.join(places[0])}: {text}")

    bad = key_problems(document)
    for place, text in bad.items():
        report([place], text)
        _remove(document, place)
    config = Config.model_validate(document)
    for relation in broken_relations(config):
        places = [tuple(key.split(".")) for key in relation.keys]
        if not any(place in bad or place[:1] in bad for place in places):
            report(places, expected_found(relation.expected, toml_value(relation.found)))

    if problems:
        raise InputError(*problems)
    return config


def is_named(config: Config, table: str, key: str) -> bool:
    """Return whether the file that `config` was read from, or an override, names a key.

    In a file that names every key, as ``config.toml`` of a run and what ``srnn config`` prints do,
    none counts: the program wrote them.
    """
    if all(part.model_fields_set == type(part).model_fields.keys() for _, part in config):
        return False
    return key in getattr(config, table).model_fields_set


def find(name: str | Path) -> Path:
    """Return the configuration file `name`.

    A bare name is looked up in the working directory, in its configs/, and then among the
    configurations of the package: srnn/configs/ of a wheel, configs/ of a clone.

    Raises
    ------
    InputError
        If there is none.
    """
    path = Path(name)
    places = [path]
    if len(path.parts) == 1:
        installed = _PACKAGE / "configs"
        own = installed if installed.is_dir() else _PACKAGE.parents[1] / "configs"
        places += ["configs" / path, *([own / path] if own != Path("configs").absolute() else [])]
    existing = [place for place in places if place.exists()]
    for place in existing:
        if not place.is_dir():
            return place
    if existing:
        raise InputError(f"{name}: expected a TOML file, found a directory")
    looked = " or ".join(str(place.absolute()) for place in places)
    raise InputError(f"{name}: expected a TOML file, found nothing at {looked}")


def parse(path: Path) -> Document:
    """Return the content of a TOML file.

    Raises
    ------
    InputError
        If it is no TOML.
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    try:
        return tomli.loads(content.decode("utf-8-sig"))  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        text = f"line {line}: not UTF-8: byte 0x{error.object[error.start]:02x}"
        raise InputError(f"{path}: {text}") from error
    except tomli.TOMLDecodeError as error:
        text = f"line {error.lineno}, column {error.colno}: not valid TOML: {error.msg}"
        raise InputError(f"{path}: {text}") from error
    except (ValueError, RecursionError) as error:  # integers too long, brackets too deep
        raise InputError(f"{path}: not valid TOML: {error}") from error


def _remove(document: Document, place: Place) -> None:
    *tables, key = place
    for table in tables:
        document = document[table]
    del document[key]
