# SPDX-License-Identifier: MPL-2.0
"""Install what is missing, and then run a command, if one is given.

The scripts of ``[tool.pdm.scripts]`` run ``python -I .ci/install.py GROUPS PDM [-- COMMAND]`` with
the Python of the environment that PDM chose. GROUPS is ``prod``, with optional groups and
``dev`` where needed. PDM is PDM's own command line. A stamp in the environment records what was
installed. While it holds, PDM is not called: the check takes less than 0.1 s and no network. An
installation writes to stderr only, because stdout belongs to the command.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

try:
    import fcntl
except ImportError:  # Windows: simultaneous installations do not wait for each other
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[1]
STAMP = Path(sys.prefix) / "srnn-installed.json"


def read_toml(name: str) -> dict[str, Any]:
    """Return the content of a TOML file of the project."""
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def required() -> str:
    """Return a digest of everything that determines what an installation installs."""
    project = read_toml("pyproject.toml")
    tables = {name: project.get(name) for name in ("build-system", "project", "dependency-groups")}
    text = json.dumps([str(ROOT), tables], sort_keys=True).encode()
    return hashlib.sha256(text + (ROOT / "pdm.lock").read_bytes()).hexdigest()


def distributions() -> set[str]:
    """Return the installed distributions as their metadata folders are called."""
    with os.scandir(sysconfig.get_path("purelib")) as entries:
        return {entry.name for entry in entries if entry.name.endswith(".dist-info")}


def locked_distributions() -> set[str]:
    """Return those of the installed distributions that the project or its lock file names."""
    names = {package["name"] for package in read_toml("pdm.lock").get("package", [])}
    names.add(read_toml("pyproject.toml")["project"]["name"])
    normalised = {re.sub(r"[-_.]+", "_", name).lower() for name in names}
    return {name for name in distributions() if name.split("-")[0].lower() in normalised}


def read_stamp() -> dict[str, Any]:
    """Return what the last installation recorded."""
    try:
        return dict(json.loads(STAMP.read_bytes()))
    except (FileNotFoundError, ValueError):  # nothing was installed, or the stamp is cut off
        return {"required": "", "groups": [], "distributions": []}


def is_installed(groups: set[str]) -> bool:
    """Return whether everything in `groups` is installed as the lock file requires."""
    stamp = read_stamp()
    return (
        stamp["required"] == required()
        and groups <= set(stamp["groups"])
        and set(stamp["distributions"]) <= distributions()
    )


@contextlib.contextmanager
def installation_lock() -> Iterator[None]:
    """Hold the lock that lets one installation into this environment run at a time."""
    with STAMP.with_suffix(".lock").open("w") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run_pdm(command: list[str]) -> int:
    """Run a command line of PDM with its output on stderr, and return its exit code."""
    # Without PDM_PYTHON, `pdm run --venv NAME` would have the default environment changed.
    environment = os.environ | {"PDM_PYTHON": sys.executable}
    child = subprocess.Popen(command, stdout=sys.stderr, cwd=ROOT, env=environment)
    try:
        return child.wait()
    except (KeyboardInterrupt, SystemExit):
        child.terminate()  # PDM answers Ctrl-C after its downloads only, with a traceback
        child.wait()
        show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # PDM hides it
        sys.stderr.write(f"{show_cursor}interrupted: the next call goes on with the installation\n")
        raise


def install(groups: set[str], pdm: list[str]) -> None:
    """Install `groups`, and bring the groups that were installed before up to date."""
    with installation_lock():
        if is_installed(groups):  # by another process, while this one waited for the lock
            return
        groups = groups | set(read_stamp()["groups"])
        command = [*pdm, "sync"]
        if "dev" not in groups:
            command.append("--prod")
        for group in sorted(groups - {"prod", "dev"}):
            command += ["-G", group]
        digest = required()  # before the installation, which takes minutes: files may change
        sys.stderr.write(f"installing into {sys.prefix} what pdm.lock requires\n")
        code = run_pdm(command)
        if code != 0:
            sys.exit(f"could not install: `{' '.join(command)}` ended with exit code {code}")
        stamp = {
            "required": digest,
            "groups": sorted(groups),
            "distributions": sorted(locked_distributions()),
        }
        STAMP.write_text(json.dumps(stamp), encoding="utf-8")


def execute(command: list[str]) -> NoReturn:
    """Replace this process by `command`, in the folder that the user is in."""
    os.chdir(os.environ.get("PDM_RUN_CWD", "."))  # PDM runs its scripts in the project's folder
    path = shutil.which(command[0])
    if path is None:
        sys.exit(f"{command[0]}: expected a command in {sys.prefix}, found none")
    if os.name == "nt":  # Windows does not replace a process: the caller would not wait
        sys.exit(subprocess.call([path, *command[1:]]))
    os.execv(path, command)  # noqa: S606


def main(arguments: list[str]) -> None:
    """Install what is missing, and run the command behind ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    groups = set(arguments[0].split(","))
    if not is_installed(groups):
        install(groups, arguments[1:end])
    if end < len(arguments):
        execute(arguments[end + 1 :])


def exit_on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    """Exit as a process does that SIGTERM ends; `execute` takes this handler away."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, exit_on_sigterm)
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        sys.exit(f"could not install: {error}")
