# SPDX-License-Identifier: MPL-2.0
"""A thousand broken or forged checkpoints: each says exactly what it did, or is refused.

What is pickled in one is never run: `unchanged` would see the file that it makes.
"""

import copy
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from fuzzing import command, damaged, expect_proper, fuzz, outcome, unchanged
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

import srnn
from legacy import make_legacy
from srnn.runs.checkpoint import Checkpoint, load_checkpoint

FIXTURE = Path(__file__).parents[1] / "fixtures" / "checkpoint-0.1.0.pt"
FILE = Path("last.pt")
RECORDING = Path("yes.wav")
LOGS = {"train.log", ".lock"}
STARTS = (f"{FILE}: ", f"{FILE} (")  # the second where its configuration is at fault


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


LAST = FIXTURE.read_bytes()
CONTENT = torch.load(FIXTURE, weights_only=True)
STATE = load_checkpoint(FIXTURE).to_bytes()
BEST = replace(load_checkpoint(FIXTURE), training=None).to_bytes()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write(RECORDING, np.random.default_rng(0).uniform(-0.5, 0.5, 2_000), 8_000)


def read(content: bytes) -> Checkpoint | None:
    """Return what a file holds, having checked that it can be used, or None if it is refused."""
    FILE.write_bytes(content)
    with unchanged(Path.cwd()):
        checkpoint = outcome(lambda: load_checkpoint(FILE), *STARTS)
        recogniser = outcome(lambda: srnn.load(FILE), *STARTS)
        code, answer, complaint = command("predict", FILE, RECORDING, "--json")
    assert (code, bool(complaint)) == ((0, False) if recogniser else (2, True))
    if recogniser is None:
        expect_proper(complaint.removesuffix("\n"), *STARTS)
        return None
    assert json.loads(answer)["label"] in recogniser.labels
    return checkpoint


def is_usable(content: bytes) -> bool:
    return read(content) is not None


def test_damaged_bytes(full: bool) -> None:
    valid = (LAST, STATE, BEST)
    originals = {content: repr(exact(vars(read(content)))) for content in valid}

    def is_the_same(case: tuple[bytes, bytes]) -> bool:
        original, content = case
        checkpoint = read(content)
        assert checkpoint is None or repr(exact(vars(checkpoint))) == originals[original]
        return checkpoint is not None

    def with_original(original: bytes) -> SearchStrategy[tuple[bytes, bytes]]:
        return st.tuples(st.just(original), damaged(original))

    fuzz(
        "checkpoints, bytes",
        st.sampled_from(valid).flatmap(with_original),
        is_the_same,
        1_000 if full else 25,
        valid=[(content, content) for content in valid],
        full=full,
    )


def exact(value: Any) -> Any:
    """Return plain values that print in full: tensors as type and bytes."""
    match value:
        case Tensor():
            return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
        case dict():
            return {key: exact(item) for key, item in value.items()}
        case list() | tuple():
            return [exact(item) for item in value]
    return exact(vars(value)) if hasattr(value, "__dict__") else value


# Forged contents: anything in any place.


class Call:
    """Is pickled as a call, which unpickling makes."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def oversized(elements: int) -> Call:
    """Return a tensor that claims to be larger than what it is made of."""
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.zeros(8).untyped_storage(), dtype=torch.float32, _internal=True
    )
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, storage, 0, (elements,), (1,), False, {})


code = st.sampled_from(
    [
        Call(Path.touch, Path("marker")),
        Call(exec, "open('marker', 'w')"),
        Call(eval, "open('marker', 'w')"),
        Call(torch.save, 1, "marker"),
        Call(__import__, "this"),
        Call(getattr, torch.nn.Linear, "forward"),
    ]
)
odd_tensors = st.sampled_from(
    [
        *(torch.zeros(8, dtype=kind) for kind in (torch.float64, torch.bool, torch.complex64)),
        *(torch.tensor(number) for number in (0.0, -1.0, 1e38, torch.nan, torch.inf)),
        torch.zeros(1).expand(10**12),
        torch.zeros(0),
        torch.zeros(0, 10**9),
        torch.eye(8).to_sparse(),
        torch.quantize_per_tensor(torch.zeros(8), 1.0, 0, torch.qint8),
        torch.nn.Parameter(torch.zeros(8)),
        torch.zeros(8, device="meta"),
        *map(oversized, (9, 2**28, 2**34, 2**45)),
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 200),
    st.integers(),
    st.sampled_from([2**64, -(10**30), 4096, [4096] * 100]),
    st.just(5_000).map(lambda digits: 10**digits),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=8),
    odd_tensors,
    code,
)
anything = st.recursive(
    scalars,
    lambda items: (
        st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=5), items, max_size=3)
    ),
    max_leaves=4,
)
changes_of_tensors: list[Callable[[Tensor], Any]] = [
    torch.neg,
    torch.zeros_like,
    lambda tensor: tensor * 1e20,
    lambda tensor: tensor * 1e-20,
    lambda tensor: tensor.double(),
    lambda tensor: tensor.half(),
    lambda tensor: tensor.bool(),
    lambda tensor: tensor.to(torch.complex64),
    lambda tensor: tensor.flatten(),
    lambda tensor: tensor[None],
    lambda tensor: tensor.T if tensor.ndim == 2 else tensor,
    lambda tensor: tensor.new_zeros(()).expand(tensor.shape),
    lambda tensor: tensor.new_zeros(*tensor.shape, 3)[..., 1],
    lambda tensor: tensor.new_zeros(tensor.numel() + 1)[1:].view(tensor.shape),
    lambda tensor: tensor.where(tensor < tensor.max(), torch.nan),
    lambda tensor: tensor.repeat_interleave(2, dim=0) if tensor.ndim else tensor,
    lambda tensor: tensor.to_sparse() if tensor.ndim else tensor,
    lambda tensor: tensor.tolist(),
    lambda tensor: tensor.numpy(),
]  # fmt: skip


def places(content: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything inside: keys and positions."""
    if isinstance(content, (dict, list)):
        for key, item in content.items() if isinstance(content, dict) else enumerate(content):
            yield (key,)
            yield from ((key, *rest) for rest in places(item))


PLACES = sorted(places(CONTENT), key=str)
WEIGHTS = [("weights", name) for name in CONTENT["weights"]]
SETTINGS = [place for place in PLACES if place[0] == "config" and len(place) == 3]
OUTER = [place for place in PLACES if len(place) <= 2]
Edit = tuple[tuple[Any, ...], Callable[[Any], Any] | None]  # None: what is there is lost


def instead(values: SearchStrategy[Any]) -> SearchStrategy[Callable[[Any], Any]]:
    return values.map(lambda new: lambda _old: new)


edits: SearchStrategy[Edit] = st.one_of(
    st.tuples(st.sampled_from(WEIGHTS), st.sampled_from(changes_of_tensors)),
    st.tuples(st.sampled_from(PLACES) | st.sampled_from(OUTER), st.none() | instead(anything)),
    st.tuples(st.sampled_from(WEIGHTS) | st.sampled_from(SETTINGS), instead(anything)),
    st.tuples(st.sampled_from(SETTINGS), instead(st.integers(-1, 500_000))),
    st.tuples(st.sampled_from(PLACES).map(lambda way: (*way[:-1], "more")), instead(anything)),
)


def forged(edits: list[Edit], legacy: bool, of: Any = CONTENT) -> bytes:
    content = copy.deepcopy(of)
    for (*way, key), change in edits:
        inside = content
        try:
            for step in way:
                inside = inside[step]
            if change is None:
                del inside[key]
            else:
                inside[key] = change(inside[key] if key != "more" else None)
        except (KeyError, IndexError, TypeError):
            continue  # another edit has replaced what it was in
    return saved(content, _use_new_zipfile_serialization=not legacy)


@pytest.mark.filterwarnings("ignore:Empty filters")  # librosa, of a configuration that is legal
def test_forged_contents(full: bool) -> None:
    legacy = st.integers(0, 9).map(lambda die: die == 9)
    fuzz(
        "checkpoints, contents",
        st.tuples(st.lists(edits, max_size=2, unique_by=lambda edit: edit[0]), legacy),
        lambda case: is_usable(forged(*case)),
        1_000 if full else 25,
        valid=[([], False)],
        full=full,
    )


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_forged_states_to_resume(tones: Path, full: bool) -> None:
    train: list[str | Path] = [tones / "tones.toml", f"--set=data.dataroot={tones / 'tones'}"]
    command(*train, "--set=srnn.epochs=1", "--run-dir", "run")
    make_legacy(Path("run"))
    state = torch.load("run/last.pt", weights_only=True)
    inner = sorted((way for way in places(state) if way[0] == "training"), key=str)
    tensors = [way for way in inner if len(way) == 4 and way[1] == "moments"]
    run = Path("again")

    def is_resumed(edits: list[Edit]) -> bool:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree("run", run)
        (run / "last.pt").write_bytes(forged(edits, legacy=False, of=state))
        before = {file.name: file.read_bytes() for file in run.iterdir()}
        codes = (0, 1, 2)  # 1: wild moments of the optimizer may make training diverge
        code, _, complaint = command(*train, "--run-dir", run, "--resume", codes=codes)
        last_line = complaint.splitlines()[-1]
        if code == 2:
            expect_proper(last_line, f"{run / 'last.pt'}: ", f"{run / 'best.pt'}: the best weights")
            assert all((run / name).read_bytes() == before[name] for name in {*before} - LOGS)
        assert code != 1 or "expected finite numbers" in last_line
        return code != 2

    changes = st.one_of(
        st.tuples(st.sampled_from(tensors), st.sampled_from(changes_of_tensors)),
        st.tuples(
            st.sampled_from(inner),
            st.none() | instead(anything) | instead(st.integers(-1, 3)) | instead(st.floats()),
        ),
    )
    fuzz(
        "checkpoints, resumed",
        st.lists(changes, min_size=1, max_size=2, unique_by=lambda edit: edit[0]),
        is_resumed,
        300 if full else 5,
        valid=[[]],
        full=full,
    )


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


PARTS = parts_of(LAST)
PICKLE = "archive/data.pkl"


def test_damaged_parts_with_valid_checksums(full: bool) -> None:
    def with_part(name: str) -> SearchStrategy[bytes]:
        changed = damaged(PARTS[name]) | st.sampled_from(sorted(PARTS.values()))
        return changed.map(lambda data: zipped([*{**PARTS, name: data}.items()]))

    names = st.just(PICKLE) | st.sampled_from(sorted(PARTS))
    without = st.sampled_from(sorted(PARTS)).map(
        lambda lost: zipped([(name, data) for name, data in PARTS.items() if name != lost])
    )
    fuzz(
        "checkpoints, parts",
        names.flatmap(with_part) | names.flatmap(with_part) | without,
        is_usable,
        1_000 if full else 25,
        valid=[zipped([*PARTS.items()])],
        full=full,
    )


def test_what_grows_on_reading_is_refused() -> None:
    bomb = {**PARTS, "archive/data/0": bytes(1 << 24)}
    assert not is_usable(zipped([*bomb.items()], zipfile.ZIP_DEFLATED))
