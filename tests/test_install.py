# SPDX-License-Identifier: MPL-2.0
"""`pdm run` installs what is missing, once, before it runs what was asked for.

PDM itself is a stand-in here, which needs no network: it writes down how it was called, and
installs empty distributions.
"""

import json
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = ROOT.joinpath("pyproject.toml").read_text()

PYPROJECT = """
[build-system]
requires = ["pdm-backend"]
[project]
name = "a.project"
dependencies = ["first"]
"""

PDM = """
import os, pathlib, sys, sysconfig, time
with pathlib.Path("calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
print("PDM writes to stdout")
if pathlib.Path("slow").exists():
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(60)
if pathlib.Path("broken").exists():
    sys.exit(3)
version = pathlib.Path("pdm.lock").read_text().splitlines()[-1].split('"')[1]
packages = pathlib.Path(sysconfig.get_path("purelib"))
for old in [*packages.glob("First_One-*"), *packages.glob("a_project-*")]:
    old.rmdir()
for new in (f"First_One-{version}.dist-info", "a_project-0.dist-info"):
    packages.joinpath(new).mkdir()
"""

SHOW = "import json, os, sys; print(json.dumps([os.getpid(), os.getcwd(), sys.argv[1:]]))"


class Project:
    """A clone in a folder of its own, with a fresh virtual environment and the stand-in of PDM."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a clone"
        self.folder.joinpath(".ci").mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "install.py", self.folder / ".ci")
        self.folder.joinpath("pyproject.toml").write_text(PYPROJECT)
        self.folder.joinpath("pdm.py").write_text(PDM)
        self.lock("1.0")
        venv.create(self.folder / ".venv", symlinks=True)
        self.python = self.folder / ".venv" / "bin" / "python"
        self.packages = next(self.folder.glob(".venv/lib/python3*/site-packages"))

    def lock(self, version: str) -> None:
        text = f'[[package]]\nname = "first-one"\nversion = "{version}"\n'
        self.folder.joinpath("pdm.lock").write_text(text)

    def start(self, *command: str, groups: str = "prod", cwd: Path | None = None) -> Any:
        """Start what a script of `pdm run` starts, in the project's folder as `pdm run` does."""
        then = ["--", *command] if command else []
        pdm = [str(self.python), "pdm.py"]
        return subprocess.Popen(
            [self.python, "-I", ".ci/install.py", groups, *pdm, *then],
            cwd=self.folder,
            env=os.environ | {"PDM_RUN_CWD": str(cwd or self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *command: str, groups: str = "prod", cwd: Path | None = None, code: int = 0
    ) -> tuple[str, str]:
        """Return stdout and stderr of what ends with the exit code ``code``."""
        process = self.start(*command, groups=groups, cwd=cwd)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        return out, err

    def calls(self) -> list[str]:
        """Return the arguments of all calls of PDM so far."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_fresh_clone_installs_and_runs_the_command_where_the_user_is(
    project: Project, tmp_path: Path
) -> None:
    arguments = ["with space", "", "$HOME 'quoted' \"twice\"", "--", "two\nlines"]
    process = project.start(sys.executable, "-c", SHOW, *arguments, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    # Nothing but what the command printed, which has taken the place of the process.
    assert json.loads(out) == [process.pid, str(tmp_path), arguments]
    assert err.splitlines() == [
        f"installing into {project.folder / '.venv'} what pdm.lock requires",
        "PDM writes to stdout",
    ]
    assert project.calls() == ["sync --prod"]


def test_nothing_is_installed_twice(project: Project) -> None:
    project.run(groups="prod,synthetic")
    assert project.run(sys.executable, "-c", "print(1)") == ("1\n", "")
    assert project.run(groups="prod") == ("", "")
    assert project.calls() == ["sync --prod -G synthetic"]


def test_a_group_that_is_missing_is_added_and_stays(project: Project) -> None:
    project.run(groups="prod")
    project.run(groups="prod,synthetic")
    project.run(groups="prod,dev")
    project.lock("2.0")  # as `git pull` does
    project.run(groups="prod")
    project.run(groups="prod,synthetic,dev")
    assert project.calls() == [
        "sync --prod",
        "sync --prod -G synthetic",
        "sync -G synthetic",
        "sync -G synthetic",
    ]


def test_each_optional_group_is_installed(project: Project) -> None:
    project.run(groups="prod,synthetic,tensorboard,dev")
    assert project.calls() == ["sync -G synthetic -G tensorboard"]


def test_a_changed_project_is_installed_again(project: Project) -> None:
    project.run()
    project.folder.joinpath("pyproject.toml").write_text(PYPROJECT + "[tool.ruff]\n")
    project.run()
    assert len(project.calls()) == 1  # what a linter is told installs nothing
    project.folder.joinpath("pyproject.toml").write_text(PYPROJECT + "scripts = {a = 'b:c'}\n")
    project.run()
    assert len(project.calls()) == 2


def test_an_environment_of_another_clone_is_installed_into_again(
    project: Project, tmp_path: Path
) -> None:
    project.run()
    other = tmp_path / "another clone"
    project.folder.rename(other)  # the environment holds links to where the clone was
    project.folder, project.python = other, other / ".venv" / "bin" / "python"
    project.run()
    assert len(project.calls()) == 2


@pytest.mark.parametrize("name", ["First_One-1.0.dist-info", "a_project-0.dist-info"])
def test_what_somebody_uninstalled_is_installed_again(project: Project, name: str) -> None:
    project.packages.joinpath("other-1.0.dist-info").mkdir()
    project.run()
    project.packages.joinpath("other-1.0.dist-info").rmdir()  # is no business of ours
    project.run()
    assert len(project.calls()) == 1
    project.packages.joinpath(name).rmdir()
    project.run()
    assert len(project.calls()) == 2
    assert project.packages.joinpath(name).is_dir()


def test_a_damaged_stamp_counts_as_none(project: Project) -> None:
    project.run()
    project.folder.joinpath(".venv", "srnn-installed.json").write_text('{"required": ')
    project.run()
    assert len(project.calls()) == 2


def test_a_failed_installation_runs_nothing_and_is_tried_again(project: Project) -> None:
    broken = project.folder / "broken"
    broken.touch()
    out, err = project.run(sys.executable, "-c", "print(1)", code=1)
    assert out == ""
    expected = f"could not install: `{project.python} pdm.py sync --prod` ended with exit code 3"
    assert err.splitlines()[-1] == expected
    broken.unlink()
    assert project.run(sys.executable, "-c", "print(1)")[0] == "1\n"


def test_exit_codes_and_signals_are_those_of_the_command(project: Project) -> None:
    project.run()
    project.run(sys.executable, "-c", "raise SystemExit(143)", code=143)
    wait = "import signal, time; print(signal.getsignal(signal.SIGINT), flush=True); time.sleep(60)"
    process = project.start(sys.executable, "-c", wait)
    assert "default_int_handler" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_installation_can_be_interrupted(project: Project, number: signal.Signals) -> None:
    slow, pid = project.folder / "slow", project.folder / "pid"
    slow.touch()
    process = project.start(sys.executable, "-c", "print(1)")
    for _ in range(600):
        if pid.exists() and pid.read_text():
            break
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == ""
    assert err.splitlines()[-1] == "interrupted: the next call goes on with the installation"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    slow.unlink()
    assert project.run(sys.executable, "-c", "print(1)")[0] == "1\n"


def test_two_commands_at_once_install_once(project: Project) -> None:
    processes = [project.start(sys.executable, "-c", "print(1)") for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["1\n"] * 3
    assert project.calls() == ["sync --prod"]


def test_a_command_that_is_not_there_is_named(project: Project) -> None:
    project.run()
    _, err = project.run("no-such-command", code=1)
    expected = f"no-such-command: expected a command in {project.folder / '.venv'}, found none\n"
    assert err == expected


def test_a_missing_lock_file_is_named(project: Project) -> None:
    project.folder.joinpath("pdm.lock").unlink()
    _, err = project.run(code=1)
    assert err.count("\n") == 1
    assert err.startswith("could not install: ")
    assert "pdm.lock" in err


def scripts() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = tomllib.loads(PROJECT)["tool"]["pdm"]["scripts"]
    return found


@pytest.mark.parametrize("name", scripts())
def test_each_script_installs_once_before_anything_else(name: str) -> None:
    script = scripts()[name]
    steps = script.get("composite") or [script["cmd"]]
    first, *rest = [shlex.split(step) for step in steps]
    assert first[:3] == ["python", "-I", ".ci/install.py"]
    needed = {"srnn": "prod", "bench": "prod", "quickstart": "prod,synthetic"}
    assert first[3:5] == [
        needed.get(name, "prod,synthetic,tensorboard,neurobench,sweep,export,dev"),
        "{pdm}",
    ]
    for command, *arguments in rest:
        # A step that is a script itself, or PDM, would install again.
        assert command not in {"pdm", *scripts()}
        assert ".ci/install.py" not in arguments


def test_the_command_itself_needs_no_other_script() -> None:
    assert shlex.split(scripts()["srnn"]["cmd"])[5:] == ["--", "srnn"]


@pytest.mark.parametrize("target", ["wheel", "sdist", "editable"])
def test_the_configurations_travel_in_the_wheel(target: str) -> None:
    context = SimpleNamespace(target=target, root=ROOT)
    files = {"srnn/cli.py": ROOT / "src" / "srnn" / "cli.py"}
    before = dict(files)
    hook = runpy.run_path(str(ROOT / tomllib.loads(PROJECT)["tool"]["pdm"]["build"]["custom-hook"]))
    hook["pdm_build_update_files"](context, files)
    configs = {f"srnn/configs/{file.name}": file for file in (ROOT / "configs").glob("*.toml")}
    assert "srnn/configs/quickstart.toml" in configs
    assert files == (before | configs if target == "wheel" else before)
