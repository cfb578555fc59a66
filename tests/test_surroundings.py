# SPDX-License-Identifier: MPL-2.0
"""The command in surroundings unlike a desktop's: containers, clusters, systems that lack much."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from run_results import RUN_FILES
from srnn import cli
from srnn.log import set_up_logging
from srnn.runs.checkpoint import load_checkpoint

SOURCE = Path(__file__).parents[1] / "src"
CACHES = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
NOBODY = 12345  # no user of this number has an entry in the table of users
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(tones: Path) -> Iterator[Path]:
    """Return a folder that every user may enter, with the tones and a run that has ended."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(tones, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run(["tones.toml", "--run-dir", "run", "--set", "srnn.epochs=1"]) == 0
    shutil.rmtree(folder / "tones" / ".cache")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield folder
    shutil.rmtree(folder)


WORD = "tones/low/00000001_nohash_0.wav"


def environment(**changes: str | None) -> dict[str, str]:
    """Return this process's environment with changes; None: without that variable."""
    plain: dict[str, str | None] = dict.fromkeys(CACHES)
    merged = {**os.environ, "OMP_NUM_THREADS": "1", **plain, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def shell(line: str, folder: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell, in which ``srnn`` is the command."""
    srnn = shlex.join([sys.executable, "-m", "srnn"])
    return subprocess.run(
        ["/bin/sh", "-c", f'srnn() {{ {srnn} "$@"; }}; {line}'],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def stranger(place: Path) -> Command:
    """Return a function that runs Python as a user without an entry in the table of users."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root may become another user, by setpriv")
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = os.pathsep.join([str(SOURCE), sysconfig.get_path("purelib")])
    settings = {"PYTHONPATH": path, "USER": None, "LOGNAME": None, "LNAME": None}
    settings |= {"USERNAME": None}

    def runner(python: str) -> Command:
        def run(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*become, python, *arguments],
                cwd=place,
                env=environment(**{**settings, **changes}),
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )

        return run

    for python in (sys.executable, f"/usr/bin/{version}"):
        with contextlib.suppress(FileNotFoundError):
            run = runner(python)
            if run("-c", "import srnn, torch, numba").returncode == 0:
                return run
    pytest.skip("no interpreter that another user may run")


def test_without_a_home_words_are_recognised(stranger: Command) -> None:
    done = stranger("-m", "srnn", "predict", "run", WORD, "--json", HOME=None)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == WORD
    warning, compiling = done.stderr.splitlines()
    assert "no persistent cache: no home directory is known: compiled code" in warning
    assert "compiling kernels for this machine" in compiling
    kept = warning.partition("are kept in ")[2].partition(" until")[0]
    assert not Path(kept).exists()


def test_with_a_home_that_is_not_there_a_network_is_trained(stranger: Command, place: Path) -> None:
    """And where the data set may only be read."""
    run = place / "of a stranger"
    run.mkdir(exist_ok=True)
    os.chown(run, NOBODY, NOBODY)
    keys = ("--set", "srnn.epochs=1", "--run-dir", str(run))
    done = stranger("-m", "srnn", "tones.toml", *keys, HOME="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert {file.name for file in run.iterdir()} - {".lock"} == RUN_FILES
    found = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(found) == 1, done.stderr
    assert "no persistent cache: /nonexistent/.cache/srnn cannot be written" in found[0]


class TestWithoutStandardStreams:
    def test_a_run_is_trained_and_logged(self, place: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        keys = f"--set srnn.epochs=1 --set data.cache={tmp_path} --run-dir {run}"
        done = shell(f"srnn tones.toml {keys} <&- >&- 2>&-", place)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert {file.name for file in run.iterdir()} - {".lock"} == RUN_FILES
        assert f"the run is in {run}" in (run / "train.log").read_text()
        for name in ("best.safetensors", "last.safetensors"):
            load_checkpoint(run / name)

    def test_a_word_is_recognised(self, place: Path) -> None:
        done = shell(f"srnn predict run {WORD} nothing.wav --json 2>&-", place)
        assert (done.returncode, done.stderr) == (2, "")
        one, other = map(json.loads, done.stdout.splitlines())
        assert (one["file"], other["file"]) == (WORD, "nothing.wav")
        done = shell(f"srnn predict run {WORD} nothing.wav >&- <&-", place)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("nothing.wav: expected a recording")


def test_a_word_in_letters_that_stdout_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[data]\nwords = ["日本"]\n', encoding="utf-8")
    done = shell("srnn config x.toml", tmp_path, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5\\u672c" in done.stdout


def test_predicting_tells_that_it_compiles_and_a_truncated_cache_is_made_anew(
    place: Path, tmp_path: Path
) -> None:
    def predict() -> tuple[str, list[str]]:
        line = f"srnn predict run {WORD} --json"
        done = shell(line, place, XDG_CACHE_HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr.splitlines()

    first, (compiling,) = predict()
    assert json.loads(first)["file"] == WORD
    assert "compiling kernels for this machine: about half a minute, once" in compiling
    assert predict() == (first, [])
    kept = list(tmp_path.rglob("*.nb[ic]"))
    for number, path in enumerate(kept):
        os.truncate(path, 0 if path.suffix == ".nbi" and number % 2 else path.stat().st_size // 2)
    assert kept
    assert predict()[0] == first
    assert predict() == (first, [])


SANDBOX = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=60k tmpfs {home}
{mounts}
exec "$@"
"""


@pytest.mark.parametrize(
    "mounts",
    [
        "for d in /tmp /var/tmp; do mount --bind $d $d; mount -o remount,ro,bind $d; done",
        "mount -t tmpfs -o ro tmpfs /dev/shm; mount -o remount,ro,bind / || true",
    ],
    ids=["tmp", "shm and root"],
)
def test_disks_that_are_full_or_read_only(place: Path, mounts: str) -> None:
    """A home of 60 kB, and other folders in which nothing can be written."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    beside = Path(tempfile.mkdtemp(dir=Path.cwd().anchor + "var"))
    try:
        home = beside / "home"
        home.mkdir()
        shutil.copytree(place, beside / "work")
        script = SANDBOX.format(home=home, mounts=mounts)
        inside = ["unshare", "--mount", "/bin/sh", "-c", script, "sh"]
        if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no file systems can be mounted here")
        done = subprocess.run(
            [*inside, sys.executable, "-m", "srnn", "predict", "run", WORD, "--json"],
            cwd=beside / "work",
            env=environment(HOME=str(home), TMPDIR=None),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["file"] == WORD
        found = [line for line in done.stderr.splitlines() if "WARNING" in line]
        assert len(found) == 1, done.stderr
        assert str(home) in found[0]
    finally:
        shutil.rmtree(beside)


def test_a_terminal_that_is_closed_ends_training_with_its_state_saved(
    place: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    keys = ["srnn.epochs=100000", "srnn.schedule=constant", f"data.cache={tmp_path}"]
    sets = [word for key in keys for word in ("--set", key)]
    command = [sys.executable, "-m", "srnn", "tones.toml", "--run-dir", str(run), *sets]
    with warnings.catch_warnings():  # of threads that do not survive the fork
        warnings.simplefilter("ignore")
        child, terminal = pty.fork()
    if child == 0:
        os.chdir(place)
        os.execve(command[0], command, environment())
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                os.read(terminal, 1 << 16)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    lines = (run / "train.log").read_text().splitlines()
    assert f"go on with: pdm run srnn --run-dir {run} --resume" in lines[-2]
    assert lines[-1].endswith("stopped by SIGHUP")
    load_checkpoint(run / "last.safetensors")


def test_what_libraries_warn_of_is_logged_without_their_paths(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up_logging("INFO")
        warnings.warn("one thing\n  and another", stacklevel=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split(maxsplit=1)[1] == "WARNING one thing and another"


# What other systems than Linux lack, some of them: taken away before anything of ours is imported.
LACKING = """
import ctypes, errno, os, signal, sys
import concurrent.futures.process, multiprocessing.sharedctypes, multiprocessing.synchronize
import click, filelock, librosa, loguru, pydantic
import numba, requests, soundfile, torch, torch._dynamo, torchaudio, tqdm
librosa.resample, librosa.feature.delta, librosa.filters.mel, librosa.util.abs2
for name in (
    "sync fork forkpty register_at_fork sched_getaffinity sched_setaffinity getuid geteuid getgid "
    "setpriority getpriority nice killpg getpgid setsid mkfifo statvfs posix_fallocate "
    "O_DIRECTORY O_NOFOLLOW O_DIRECT"
).split():
    if hasattr(os, name):
        delattr(os, name)
for name in "SIGHUP SIGUSR1 SIGUSR2 SIGXCPU SIGKILL pthread_sigmask sigpending".split():
    delattr(signal, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
real_open, real_fsync, real_library = os.open, os.fsync, ctypes.CDLL

def open_(path, *rest, **options):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return real_open(path, *rest, **options)

def fsync(handle):
    access = open(f"/proc/self/fdinfo/{handle}").read().split("flags:")[1].split()[0]
    if int(access, 8) & 3 == 0:
        raise OSError(errno.EBADF, "a file that is open for reading alone")
    real_fsync(handle)

def library(name, *rest, **options):
    if name is None:
        raise TypeError("a library without a name")
    return real_library(name, *rest, **options)

os.open, os.fsync, ctypes.CDLL = open_, fsync, library
sys.platform = "win32"
"""

TRAIN = """
from srnn.cli import main
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="takes away what Linux has")
def test_a_run_needs_nothing_that_other_systems_lack(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    keys = ["srnn.epochs=1", f"data.cache={tmp_path / 'cache'}"]
    sets = [word for key in keys for word in ("--set", key)]
    done = subprocess.run(
        [sys.executable, "-c", LACKING + TRAIN, "tones.toml", "--run-dir", str(run), *sets],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert {file.name for file in run.iterdir()} - {".lock"} == RUN_FILES
    assert "Traceback" not in done.stderr


def test_nothing_of_a_progress_bar_stays_on_a_terminal(place: Path, tmp_path: Path) -> None:
    """A terminal of 80 columns; what is cleared is followed by a carriage return."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    script = "from srnn import cli; from srnn.training import live; live._REFRESH = 0; cli.main()"
    arguments = ["tones.toml", "--run-dir", str(tmp_path / "run"), "--set", "srnn.epochs=3"]
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=place,
        env=environment(COLUMNS=None, TQDM_MININTERVAL="0"),  # every state is drawn
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        shown = b"".join(_read(leader)).decode()
    assert process.returncode == 0
    os.close(leader)
    bars = re.findall(r"epoch \d/3 [^\r\n]*", shown)
    state = r"loss \d\.\d{3}, acc\. \d+\.\d%, \d+s left, firing \d\.\d{3}, \d+ clips/s"
    assert any(re.search(state, bar) for bar in bars)
    assert max(map(len, bars)) <= 80
    for line in shown.replace("\r\n", "\n").split("\n"):
        screen = ""
        for part in line.split("\r"):
            screen = part + screen[len(part) :]
        assert not re.search(r"%\||\[\d\d:\d\d|clips/s", screen), screen


def _read(leader: int) -> Iterator[bytes]:
    """Yield what a terminal is sent until nobody has it open."""
    with contextlib.suppress(OSError):  # which is how Linux says so
        while content := os.read(leader, 4096):
            yield content
