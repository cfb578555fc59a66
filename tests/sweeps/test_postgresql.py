# SPDX-License-Identifier: MPL-2.0
"""A sweep whose study is kept by a PostgreSQL server, which the test starts for itself."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeping import GRID, SLOW, go_to, wait_until, worker

from run_results import assert_same_results
from srnn import cli

pytest.importorskip("optuna", reason="needs optuna, group `sweep`")
psycopg = pytest.importorskip("psycopg", reason="needs psycopg, group `sweep`")

from srnn.sweeps.reading import read_sweep  # noqa: E402 (they need optuna)
from srnn.sweeps.storage import open_storage  # noqa: E402


def find_binaries() -> Path | None:
    """Return the folder of the newest installed server, as Debian has them or on the PATH."""
    newest_last = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = [*map(Path, filter(None, [shutil.which("initdb")])), *newest_last]
    return found[-1].resolve().parent if found else None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of a server of its own, which lets everybody in on this machine."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt install postgresql)")
    prefix, folder = [], Path(tempfile.mkdtemp(prefix="srnn-postgresql-"))
    if os.geteuid() == 0:  # which the server refuses
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        prefix = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program: str, *arguments: str) -> None:
        command = [*prefix, str(binaries / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout

    call("initdb", "-U", "sweeper", "--auth=trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://sweeper@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _here(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to(tmp_path / "here", tones, monkeypatch)


def test_a_killed_workers_trial_goes_on_and_each_is_trained_once(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("alone.toml").write_text(GRID.format(sweep=""))
    assert cli.run(["sweep", "alone.toml"]) == 0
    Path("my.toml").write_text(GRID.format(sweep=f'storage = "{server}"'))
    place = Path("sweeps/my")
    with worker("my.toml") as victim, worker("my.toml") as other:
        wait_until(lambda: any(place.glob("trial-*/seed-0/last.safetensors")), victim)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        output = other.communicate(timeout=SLOW)[0]
    assert other.returncode == 0, output
    assert not (place / "study.journal").exists()
    capsys.readouterr()
    assert cli.run(["sweep", "my.toml", "--status", "--json"]) == 0
    found = sorted(json.loads(capsys.readouterr().out), key=lambda row: row["trial"])
    assert [row["trial"] for row in found] == [0, 1, 2, 3]
    assert {row["state"] for row in found} == {"finished"}
    for run in place.glob("trial-*/seed-0"):
        assert_same_results(Path("sweeps/alone") / run.relative_to(place), run)
    assert cli.run(["report", str(place)]) == 0
    assert "4 of 4 trials: 4 finished" in (place / "report.html").read_text()


def test_a_lock_ends_with_its_connection(server: str) -> None:
    Path("my.toml").write_text(GRID.format(sweep=f'storage = "{server}"\nname = "locks"'))
    (_, one), (_, other) = (open_storage(read_sweep("my.toml")) for _ in range(2))
    assert one.trial(3)
    assert other.trial(3) is None
    assert one.still_held(3)
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
    assert not one.still_held(3)
    with other.study():  # both have connected again
        taken = other.trial(3)
    assert taken
    assert one.trial(3) is None
    with taken:
        assert other.still_held(3)
    assert one.trial(3)
    one.close()
    other.close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("postgresql://sweeper@127.0.0.1:1/none", "Connection refused"),
        ("postgresql://sweeper:secret@127.0.0.1:{port}/none", 'database "none" does not exist'),
    ],
)
def test_a_server_that_cannot_be_used_is_an_error_of_one_line(
    server: str, address: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = server.split(":")[-1].split("/")[0]
    Path("my.toml").write_text(GRID.format(sweep=f'storage = "{address.format(port=port)}"'))
    assert cli.run(["sweep", "my.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("my.toml: sweep.storage: expected a PostgreSQL server that lets this")
    assert reason in line
    assert "secret" not in line
