# SPDX-License-Identifier: MPL-2.0
"""Checkpoints as input: of today, of an earlier version, damaged, foreign, malicious."""

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file

import srnn
from legacy import legacy_content
from srnn.errors import InputError
from srnn.runs.checkpoint import _digest, load_checkpoint
from srnn.runs.restore import restore_spotter

# Written by version 0.1.0: the last.pt of three epochs on the tones of tests/conftest.py.
OLD = Path(__file__).parents[1] / "fixtures" / "checkpoint-0.1.0.pt"
ABSENT = object()


def content() -> dict[str, Any]:
    read: dict[str, Any] = torch.load(OLD, weights_only=True)
    return read


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        srnn.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text.removeprefix(str(path))


def test_a_checkpoint_of_an_earlier_version_is_understood() -> None:
    old = load_checkpoint(OLD)
    assert old.labels == ["low", "high", "_silence_", "_unknown_"]
    assert old.epoch == 3
    assert old.training
    assert len(old.training.moments) == 14
    assert [line.epoch for line in old.training.progress.history] == [1, 2, 3]
    best = max(line.valid_accuracy for line in old.training.progress.history)
    assert best == pytest.approx(20 / 34)
    assert old.parsed_config().data.max_unreadable == 0.01  # a key it does not know
    features = torch.arange(2 * 26 * 8).reshape(1, 2, 26, 8) % 7 - 3.0
    log_probabilities = restore_spotter(old, "old")(features).log_probabilities
    expected = [-1.1786154, -1.2714252, -2.0165238, -1.2774529]  # what that version said
    assert log_probabilities[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    one = load_checkpoint(OLD)
    one.save(tmp_path / "copy.safetensors")
    other = load_checkpoint(tmp_path / "copy.safetensors")
    assert one.training
    assert other.training
    assert one.training.progress == other.training.progress
    assert one.config == other.config
    for name, weight in one.weights.items():
        assert torch.equal(weight, other.weights[name])
    assert other.training.moments.keys() == one.training.moments.keys()
    for index, moments in one.training.moments.items():
        for name, moment in moments.items():
            assert torch.equal(moment, other.training.moments[index][name])
    assert [path.name for path in tmp_path.iterdir()] == ["copy.safetensors"]


def test_others_can_read_it(tmp_path: Path) -> None:
    load_checkpoint(OLD).save(tmp_path / "one.safetensors")
    with safetensors.safe_open(tmp_path / "one.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["labels"])[:2] == ["low", "high"]
        assert json.loads(file.metadata()["config"])["srnn"]["epochs"] == 3
        assert file.get_tensor("weights.network.hidden.0.tau_mem").shape == (8,)


def rewritten(path: Path, **changes: Any) -> Path:
    """Write the old checkpoint in today's layout, with other metadata and a valid checksum."""
    load_checkpoint(OLD).save(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata |= {name: json.dumps(value) for name, value in changes.items()}
    metadata = {name: text for name, text in metadata.items() if name != "sha256"}
    metadata["sha256"] = _digest(metadata, tensors)
    save_file(tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "another safetensors file"),
        (
            {"version": 4, "srnn": "7.0"},
            "version 4 of it, written by srnn 7.0, not 3",
        ),
        ({"labels": []}, "other contents (labels: "),
        ({"epoch": "many"}, "other contents (epoch: "),
        ({"extra": 1}, "other contents (extra: "),
        ({"weights": 1, "progress": {"epoch": 0}}, "other contents (training.progress.epoch: "),
    ],
)
def test_other_metadata_are_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = rewritten(tmp_path / "changed.safetensors", **change)
    assert complaint(file).startswith(f": expected a checkpoint of srnn, found {message}")


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    assert complaint(tmp_path / "a.safetensors").endswith("found another safetensors file")
    (tmp_path / "b.safetensors").write_text("{}")
    assert complaint(tmp_path / "b.safetensors").endswith("found a damaged or foreign file")


def test_a_bit_that_flipped_is_found_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "flipped.safetensors"
    load_checkpoint(OLD).save(file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(InputError, match="expected a checkpoint of srnn, found"):
            load_checkpoint(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, ": expected a checkpoint of srnn, found another file of torch"),
        (
            {"version": 3, "srnn": "7.0"},
            ": expected a checkpoint of srnn, found version 3 of it, written by srnn 7.0, not 1 or "
            "2",
        ),
        ({"labels": ABSENT}, ": expected a checkpoint of srnn, found other contents (labels: "),
        ({"labels": []}, ": expected a checkpoint of srnn, found other contents (labels: "),
        ({"epoch": "many"}, ": expected a checkpoint of srnn, found other contents (epoch: "),
        ({"extra": 1}, ": expected a checkpoint of srnn, found other contents (extra: "),
        ({"weights": {"a": 1}}, ": expected a checkpoint of srnn, found other contents (weights.a"),
        (
            {"config": {"srnn": {"tau": 3}}},
            " (written by srnn 0.1.0): srnn.tau: unknown key; did you mean srnn.tau_mem?",
        ),
        (
            {"config": {"mel": {"fmin": 5000.0}}},
            " (written by srnn 0.1.0): mel.fmin: expected a number < mel.fmax = 4000.0, found",
        ),
        (
            {"config": {}},
            ": expected network.hidden.0.input.bias of shape (256,), as its configuration "
            "describes it, found (8,)",
        ),
    ],
)
def test_other_contents_are_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    changed = content() | change
    file = tmp_path / "changed.pt"
    torch.save({name: value for name, value in changed.items() if value is not ABSENT}, file)
    assert complaint(file).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[:1], "expected network.hidden.0.input.weight of shape (8, 16), as its"),
        (lambda w: w.fill_(torch.nan), "found NaN or infinity in 128 of 128 values of network."),
        (lambda w: w.double(), "found network.hidden.0.input.weight in another form than dense"),
        (lambda w: w.int(), "found network.hidden.0.input.weight in another form than"),
        (lambda w: w[:1, :1].expand(10**9, 10**9), "in another form than dense float32"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    change: Callable[[torch.Tensor], torch.Tensor], message: str, tmp_path: Path
) -> None:
    changed, file = content(), tmp_path / "changed.pt"
    name = "network.hidden.0.input.weight"
    changed["weights"][name] = change(changed["weights"][name])
    torch.save(changed, file)
    assert message in complaint(file)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("network.hidden.0.tau_mem", -1e-3, "from 0.1 to 10000, found -0.001 to -0.001"),
        ("network.readout.tau_mem", 1e30, "from 0.1 to 10000, found 1e+30 to 1e+30"),
        ("normaliser.scale", 0.0, "from 1.17549e-38 to inf, found 0 to 0"),
    ],
)
def test_weights_out_of_range_are_named(
    name: str, value: float, message: str, tmp_path: Path
) -> None:
    changed, file = content(), tmp_path / "changed.pt"
    changed["weights"][name].fill_(value)
    torch.save(changed, file)
    assert complaint(file) == f": expected {name} {message}"


def test_a_network_that_yields_nan_says_so(tmp_path: Path) -> None:
    changed, file = content(), tmp_path / "changed.pt"
    changed["weights"]["network.hidden.1.input.bias"].fill_(1e4)  # all of them fire
    changed["weights"]["network.readout.output.weight"].fill_(3e38)
    torch.save(changed, file)
    with pytest.raises(InputError, match="expected a network that yields numbers, found NaN"):
        srnn.load(file).predict_waveform(np.ones(2000, np.float32))


def test_moments_that_would_be_written_outside_of_their_memory_are_refused(tmp_path: Path) -> None:
    changed, file = content(), tmp_path / "changed.pt"
    moment = changed["training"]["optimizer"]["state"][0]
    moment["exp_avg"] = torch.zeros(()).expand(moment["exp_avg"].shape)
    torch.save(changed, file)
    assert "found exp_avg of parameter 0 in another form than dense float32" in complaint(file)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path / "marker").touch, ()

    torch.save(content() | {"labels": Malice()}, tmp_path / "malice.pt")
    assert complaint(tmp_path / "malice.pt") == (
        ": expected a checkpoint of srnn, found more than data in it, none of which was run"
    )
    with (tmp_path / "bare.pt").open("wb") as file:
        pickle.dump(Malice(), file)
    assert "found a damaged or foreign file" in complaint(tmp_path / "bare.pt")
    assert not (tmp_path / "marker").exists()


def test_a_bit_that_flipped_is_found_in_every_part(tmp_path: Path) -> None:
    whole = OLD.read_bytes()
    with zipfile.ZipFile(OLD) as parts:
        headers = [(part.header_offset, part.file_size) for part in parts.infolist()]
    for header, size in headers:
        name, extra = struct.unpack_from("<HH", whole, header + 26)
        place = header + 30 + name + extra + size // 2
        flipped = bytearray(whole)
        flipped[place] ^= 1
        (tmp_path / "flipped.pt").write_bytes(flipped)
        with pytest.raises(InputError, match="found a damaged or foreign file"):
            load_checkpoint(tmp_path / "flipped.pt")


def test_what_would_grow_on_reading_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(10**6))
    assert "found a damaged or foreign file" in complaint(tmp_path / "bomb.pt")


def test_weights_of_earlier_versions_have_the_names_of_this_one(tmp_path: Path) -> None:
    names = ["network.hidden.0.norm.weight", "network.readout.norm.bias", "network.norm.mean"]
    weights = {name: torch.full((2,), float(place)) for place, name in enumerate(names)}
    old = load_checkpoint(OLD)
    assert old.training
    training = replace(old.training, average=weights)
    content = legacy_content(replace(old, weights=weights, training=training))
    assert "network.hidden.0.norm.gain" in content["weights"]
    assert "network.readout.norm.shift" in content["training"]["average"]
    torch.save(content, tmp_path / "old.pt")
    new = load_checkpoint(tmp_path / "old.pt")
    assert new.training
    for found in (new.weights, new.training.average):
        assert found
        assert {name: value[0].item() for name, value in found.items()} == {
            name: place for place, name in enumerate(names)
        }
