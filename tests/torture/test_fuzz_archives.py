# SPDX-License-Identifier: MPL-2.0
"""A thousand hostile tar archives: each is unpacked inside its folder and nowhere else, or refused.

Beside the folder lie files and a folder that members and links aim at by relative and absolute
names: `unchanged` looks at them.
"""

import gzip
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from fuzzing import damaged, fuzz, outcome, unchanged
from hypothesis import strategies as st

from srnn.data.fetch.archive import extract

ARCHIVE = Path("some.tar.gz")
FOLDER = Path("unpacked")
CANARY = Path("canary")
ABSOLUTE = "{here}"  # stands for the folder that all this lies in
FORMATS: list[Literal[1, 2]] = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
MOST_BYTES = 1 << 20  # that a few kilobytes of archive may become


class Member(NamedTuple):
    name: str
    kind: bytes
    link: str
    content: bytes
    claimed: int  # how much longer it claims to be
    mode: int
    mtime: float
    pax: dict[str, str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (CANARY / "a").mkdir(parents=True)
    for file in (Path("x.wav"), CANARY / "x.wav", CANARY / "a" / "x.wav"):
        file.write_text("mine")


def is_unpacked(content: bytes) -> bool:
    """Return whether an archive is unpacked, having checked what must then come of it."""
    ARCHIVE.write_bytes(content)
    shutil.rmtree(FOLDER, ignore_errors=True)  # what a failure before has left
    with unchanged(Path.cwd()):
        FOLDER.mkdir()
        files = outcome(lambda: extract(ARCHIVE, FOLDER), f"{ARCHIVE}: ")
        expect_harmless(list(FOLDER.rglob("*")))
        shutil.rmtree(FOLDER)
    return files is not None


def expect_harmless(unpacked: list[Path]) -> None:
    inside = os.path.realpath(FOLDER)
    size = 0
    for path in unpacked:
        status = path.lstat()
        assert Path(os.path.realpath(path)).is_relative_to(inside)  # also where links go round
        assert stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID)
        size += status.st_size if path.is_file() else 0
    assert size < MOST_BYTES
    assert all(path.stat().st_nlink == 1 for path in CANARY.rglob("*.wav"))


def tar(members: list[Member], form: Literal[1, 2], compressed: bool, closed: bool = True) -> bytes:
    blocks = b""
    for member in members:
        info = tarfile.TarInfo(member.name.replace(ABSOLUTE, str(Path.cwd())))
        info.type = member.kind
        info.linkname = member.link.replace(ABSOLUTE, str(Path.cwd()))
        info.size = len(member.content) + member.claimed
        info.mode = member.mode
        info.mtime = member.mtime
        info.pax_headers = member.pax
        header = info.tobuf(form, "utf-8", "surrogateescape")
        blocks += header + member.content + bytes(-len(member.content) % 512)
    end = bytes(1024) if closed else b""
    return gzip.compress(blocks + end, 1) if compressed else blocks + end


steps = st.sampled_from(["a", "a", "b", "up", "x.wav", "x.wav", "..", ".", "", "canary"])
odd_steps = st.text(max_size=6) | st.sampled_from(["y" * 300, "\udcff", "\n", "\x1b[2J", "a\0b"])
plain_names = st.lists(steps, min_size=1, max_size=4).map("/".join)
odd_names = st.lists(steps | odd_steps, max_size=4).map("/".join)
names = st.one_of(
    plain_names,
    plain_names,
    odd_names,
    plain_names.map(lambda name: f"/{name}"),
    plain_names.map(lambda name: f"{ABSOLUTE}/{name}"),
    plain_names.map(lambda name: f"../{name}"),
    st.just("/".join(["deep" * 50] * 25)),
)
kinds = st.sampled_from(
    [
        *[tarfile.REGTYPE] * 4,
        *[tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE] * 2,
        tarfile.AREGTYPE,
        tarfile.CONTTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"9",
    ]
)
pax = st.sampled_from(
    [
        {"path": "../x.wav"},
        {"path": "a\0/../../x.wav"},
        {"linkpath": "../x.wav"},
        {"size": "-512"},
        {"size": "many"},
        {"mtime": "nan"},
        {"GNU.sparse.size": str(2**40), "GNU.sparse.map": "0,0"},
        {"GNU.sparse.name": "../x.wav", "GNU.sparse.size": "9", "GNU.sparse.map": "0,9"},
        {"GNU.sparse.size": "5", "GNU.sparse.map": "0,9,-5"},
        {"hdrcharset": "BINARY", "path": "\udcff"},
    ]
)
harmless = st.builds(
    Member,
    name=st.sampled_from(["a", "b", "up", "no/a", "no/b", "up/x.wav", "up/./y.wav", "é.wav"]),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE]),
    link=st.sampled_from(["a", "up/x.wav", "b"]),
    content=st.just(b""),
    claimed=st.just(0),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(0, 2**31),
    pax=st.just({}),
)
hostile = st.builds(
    Member,
    name=names,
    kind=kinds,
    link=names,
    content=st.just(b"") | st.binary(max_size=20),
    claimed=st.sampled_from([0] * 8 + [1, 512, 10**6, 2**40, 2**80, -1, -512, -(2**40)]),
    mode=st.integers(0, 0o7777) | st.integers(-(2**40), 2**40),
    mtime=st.sampled_from([0, 1e9, -1.0, 2.0**40, 2.0**62]),
    pax=st.just({}) | st.just({}) | pax,
)
archives = st.builds(
    tar,
    st.lists(harmless | hostile, max_size=4),
    st.sampled_from(FORMATS),
    st.booleans(),
    st.integers(0, 9).map(bool),
)
FILE = Member("up/x.wav", tarfile.REGTYPE, "", b"sound", 0, 0o644, 0, {})
LINK = Member("up/y.wav", tarfile.SYMTYPE, "x.wav", b"", 0, 0o777, 0, {})


def with_checksums(blocks: bytes) -> bytes:
    """Return a tar archive with the checksums of what may be headers made valid."""
    result = bytearray(blocks)
    for start in range(0, len(blocks) - 511, 512):
        if result[start + 257 : start + 262] == b"ustar":
            result[start + 148 : start + 156] = b" " * 8
            total = sum(result[start : start + 512])
            result[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(result)


def test_hostile_members(full: bool) -> None:
    fuzz(
        "archives, members",
        archives,
        is_unpacked,
        2_000 if full else 60,
        valid=[tar([FILE, LINK], tarfile.GNU_FORMAT, compressed=True)],
        full=full,
    )


def test_damaged_bytes(full: bool) -> None:
    plain = tar([FILE, LINK], tarfile.PAX_FORMAT, compressed=False)
    zipped = gzip.compress(plain)
    fuzz(
        "archives, bytes",
        damaged(plain).map(with_checksums) | damaged(plain) | damaged(zipped),
        is_unpacked,
        2_000 if full else 60,
        valid=[plain, zipped],
        full=full,
    )
