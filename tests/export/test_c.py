# SPDX-License-Identifier: MPL-2.0
"""``srnn export --to c``: the C program computes what the package does."""

import copy
import re
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from exported import CASES, LABELS, RATE, clips, recogniser_of

import srnn
from srnn import cli
from srnn.export.agreement import Agreement
from srnn.export.c import check
from srnn.export.c.check import Comparison, compare, find_compiler
from srnn.export.c.program import Program, program_of
from srnn.export.c.tables import Member, Table, constant, literal, struct_size
from srnn.export.c.weights import Weights, matrix_of
from srnn.export.clips import clips_of, probabilities
from srnn.features import reference
from srnn.features.normaliser import Normaliser
from srnn.network.neurons import registry
from srnn.training.spotter import Spotter
from tone_runs import train_on_tones

GSC = Path(__file__).parents[3] / "shared" / "gsc"
SANITISED = [*check.FLAGS, "-Wpedantic", "-g", "-fsanitize=address,undefined"]
SANITISED += ["-fno-sanitize-recover=all"]

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")


def run_c(folder: Path, source: str, *, stdin: bytes = b"") -> bytes:
    """Compile a C program that includes srnn.c, and return what it prints."""
    (folder / "test.c").write_text(f'#include <stdio.h>\n#include "srnn.c"\n{source}')
    compiler = find_compiler()
    assert compiler
    flags = [*SANITISED, "-Wno-unused-parameter", "-o", "test", "test.c", "-lm"]
    subprocess.run([compiler, *flags], cwd=folder, check=True)
    done = subprocess.run([folder / "test"], input=stdin, capture_output=True, check=True)
    return done.stdout


@needs_compiler
@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_the_program_computes_the_network(case: str, weights: Weights, tmp_path: Path) -> None:
    recogniser = recogniser_of(CASES[case])
    spikes = recogniser.record((clips().samples[9] / 2**15).numpy()).layers
    assert all(0.005 < layer.spikes.mean() < 0.6 for layer in spikes)
    program = program_of(recogniser, weights)
    program.write(tmp_path)
    compiler = find_compiler()
    assert compiler
    found = compare(recogniser, program, tmp_path, compiler, clips(), SANITISED)
    assert np.ptp(found.expected.numpy(), axis=0).max() > 0.01  # clips differ
    differences = (found.computed - found.expected).abs().amax(dim=1)
    assert differences.median() < 1e-5
    assert (differences < 1e-3).float().mean() >= 0.9  # a spike that rounding moves
    found.expect_equal()
    if weights == "float32":
        assert torch.equal(found.expected, found.predicted)
    else:
        assert not torch.equal(found.expected, found.predicted)
        assert (found.expected - found.predicted).abs().median() < 0.02
        agreement = Agreement.of(found.computed, found.predicted)
        assert agreement.same >= 0.9 * agreement.clips


@needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_features_are_those_of_the_package_and_of_librosa(case: str, tmp_path: Path) -> None:
    recogniser = recogniser_of(CASES[case])
    spec = recogniser.extract.spec
    program_of(recogniser, "float32").write(tmp_path)
    whole_clip = spec.kind == "reference"
    # Those of a stream are looked at as its frames are complete.
    reach = 0 if whole_clip or max(spec.orders) == 0 else 4
    streamed = f"""
        srnn_push(&memory, &clip[i], 1);
        const uint32_t t = memory.frames;
        if (t > before && t > 2 * {reach})
            write_frame(t - 1 - {reach}, t - 1 - {reach});"""
    at_end = "for (uint32_t t = 0; t < STEPS; t++) write_frame(t, centre_of(t, STEPS));"
    divided = " / memory.deviation[i]" if whole_clip else ""
    source = f"""
static srnn_memory memory;
static int16_t clip[SRNN_CLIP];
static void write_frame(uint32_t at, uint32_t centre)
{{
    for (int i = 0; i < INPUTS; i++) {{
        const float value = feature(&memory, i / BANDS, i % BANDS, at, centre){divided};
        fwrite(&value, sizeof value, 1, stdout);
    }}
}}
int main(void)
{{
    float probabilities[SRNN_LABELS];
    while (fread(clip, sizeof clip, 1, stdin) == 1) {{
        srnn_begin(&memory);
        for (int i = 0; i < SRNN_CLIP; i++) {{
            const uint32_t before = memory.frames;
            {"(void)before; srnn_push(&memory, &clip[i], 1);" if whole_clip else streamed}
        }}
        {"" if whole_clip else "static const int16_t zero; for (int i = 0; i < WINDOW / 2; i++)"}
        {"" if whole_clip else "{ const uint32_t before = memory.frames;"}
        {"" if whole_clip else streamed.replace("clip[i]", "zero") + "}"}
        {"srnn_finish(&memory, probabilities);" + at_end if whole_clip else "(void)probabilities;"}
    }}
    return 0;
}}
"""
    samples = clips().samples
    out = run_c(tmp_path, source, stdin=samples.numpy().tobytes())
    frames = slice(reach, spec.frames - reach)
    count = spec.frames - 2 * reach
    shape = (len(samples), count, len(spec.orders), spec.n_mels)
    found = np.frombuffer(out, np.float32).reshape(shape).transpose(0, 2, 1, 3)
    batched = recogniser.extract(samples).numpy()[:, :, frames]
    librosa = np.stack(
        [reference.features(each.numpy() / np.float32(2**15), spec)[:, frames] for each in samples]
    )
    for expected in (batched, librosa):
        largest = np.abs(expected).max(axis=(1, 2, 3), keepdims=True)
        assert (np.abs(found - expected) <= 1e-4 * largest + 1e-6).all()


@needs_compiler
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_memory_and_tables_have_the_sizes_that_are_printed(
    weights: Weights, tmp_path: Path
) -> None:
    compiler, size = find_compiler(), shutil.which("size")
    assert compiler
    assert size
    for case in CASES:
        program = program_of(recogniser_of(CASES[case]), weights)
        program.write(tmp_path)
        listing = run_c(
            tmp_path,
            'int main(void) { printf("%zu\\n", sizeof(srnn_memory));'
            "for (int i = 0; i < SRNN_LABELS; i++) puts(srnn_labels[i]); return 0; }",
        )
        ram, *labels = listing.decode().splitlines()
        assert int(ram) == program.ram, case
        assert labels == LABELS
        command = [compiler, "-std=c99", "-O2", "-c", "srnn.c", "-o", "srnn.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        done = subprocess.run([size, "srnn.o"], cwd=tmp_path, check=True, capture_output=True)
        text, data, bss, *_ = map(int, done.stdout.split(b"\n")[1].split()[:3])
        assert 1_000 < text + data - program.tables < 12_000, case  # code, names
        assert bss == 0


@needs_compiler
def test_clips_in_parts_and_too_short_ones(tmp_path: Path) -> None:
    recogniser = recogniser_of(CASES["as gsc8-small"])
    program_of(recogniser, "float32").write(tmp_path)
    header = (tmp_path / "srnn.h").read_text()
    shortest = re.search(r"fewer than (\d+) samples", header)
    assert shortest
    source = f"""
static srnn_memory memory;
static int16_t clip[SRNN_CLIP];
int main(void)
{{
    float whole[SRNN_LABELS], parts[SRNN_LABELS];
    if (fread(clip, sizeof clip, 1, stdin) != 1)
        return 1;
    const int best = srnn_clip(&memory, clip, whole);
    srnn_begin(&memory);
    for (size_t at = 0, some = 1; at < SRNN_CLIP; at += some, some = some * 3 % 101) {{
        if (some > SRNN_CLIP - at)
            some = SRNN_CLIP - at;
        srnn_push(&memory, clip + at, some);
    }}
    if (srnn_finish(&memory, parts) != best || memcmp(whole, parts, sizeof whole) != 0)
        return 2;
    srnn_begin(&memory);
    srnn_push(&memory, clip, {shortest[1]} - 1);
    if (srnn_finish(&memory, parts) != -1 || memcmp(whole, parts, sizeof whole) != 0)
        return 3;
    srnn_begin(&memory);
    srnn_push(&memory, clip, {shortest[1]});
    if (srnn_finish(&memory, parts) < 0)
        return 4;
    puts("done");
    return 0;
}}
"""
    samples = clips().samples[9].numpy().tobytes()
    assert run_c(tmp_path, source, stdin=samples) == b"done\n"


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run"
    changes = ["mel.features=pcen", "data.normalisation=standardise", "srnn.epochs=8"]
    changes += ["listen.interval=25", "listen.average=75", "listen.threshold=0.5"]
    return train_on_tones(tones, path, *changes, f"data.dataroot={tones / 'tones'}")


@needs_compiler
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_the_command_checks_what_it_writes(
    run: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    folder = tmp_path / "c" / "deep"
    options = ["--to", "c", "-o", str(folder), "--weights", weights]
    assert cli.run(["export", str(run), *options]) == 0
    text = capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {"srnn.h", "srnn.c", "listen.c", "Makefile"}
    agreed = re.search(r"against `srnn predict`: (\d+) of (\d+) labels agree", text)
    assert agreed
    assert int(agreed[1]) >= 0.9 * int(agreed[2]) > 5
    assert ("against the same 8-bit weights" in text) == (weights == "int8")
    for expected in (r"RAM: [\d,]+ bytes", r"flash: [\d,]+ bytes of tables, and [\d,]+ bytes of"):
        assert re.search(expected, text)
    accuracies = re.search(r"accuracy: C ([\d.]+)%, `srnn predict` ([\d.]+)%", text)
    assert accuracies
    assert abs(float(accuracies[1]) - float(accuracies[2])) <= (0 if weights == "float32" else 10)
    assert re.search(r"real-time factor 0\.\d+", text)


@needs_compiler
def test_the_example_detects_what_listen_does(
    run: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    rng = np.random.default_rng(0)
    sounds = []
    for word in ("low", "high", "low"):
        sounds += [rng.normal(0, 1e-3, 2 * RATE)]
        sounds += [soundfile.read(next((tones / "tones" / word).iterdir()))[0]]
    stream = np.concatenate([*sounds, rng.normal(0, 1e-3, RATE + 77)])
    samples = (stream * 2**15).astype("<i2")
    soundfile.write(tmp_path / "stream.wav", samples, RATE)
    folder = tmp_path / "c"
    clip = str(tmp_path / "stream.wav")
    assert cli.run(["export", str(run), "--to", "c", "-o", str(folder), "--clips", clip]) == 0
    subprocess.run(["make", f"CFLAGS={' '.join(SANITISED)}", "-C", folder], check=True)
    raw = samples.tobytes() + b"x"  # half a sample
    done = subprocess.run([folder / "listen"], input=raw, capture_output=True, check=True)
    capsys.readouterr()
    assert cli.run(["listen", str(run), "--mode", "windows", clip]) == 0
    expected = [line.removeprefix(f"{clip}: ") for line in capsys.readouterr().out.splitlines()]
    assert len(expected) >= 2
    assert done.stdout.decode().splitlines() == expected


def test_what_c_does_not_support_is_refused_by_the_key(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recogniser = recogniser_of(CASES["as in the paper"])
    other = copy.copy(recogniser)
    other.spotter = Spotter(Normaliser(None), recogniser.spotter.network)
    with pytest.raises(srnn.InputError, match=r'^data\.normalisation: .*found "batch"'):
        program_of(other, "float32")
    neuron: Any = recogniser.spotter.network.hidden[0]
    own = type("Own", (type(neuron.neuron),), {"name": "own"})
    monkeypatch.setitem(registry._kinds, "own", own)
    neuron.neuron = own()
    with pytest.raises(srnn.InputError, match=r"^srnn\.neuron: .* lif, found \"own\"$"):
        program_of(recogniser, "float32")
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        assert cli.run(["export", str(run), "--to", "c", "-o", str(target)]) == 2
        assert f"--output {target}: expected a folder" in capsys.readouterr().err
    wrong = ["--dataroot", str(tmp_path / "none")]
    assert cli.run(["export", str(run), "--to", "c", "-o", str(tmp_path / "c"), *wrong]) == 2
    assert "--clips" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_files_of_the_user_are_not_overwritten(tmp_path: Path) -> None:
    program = program_of(recogniser_of(CASES["as in the paper"]), "float32")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "Makefile").write_text("all:\n")
    with pytest.raises(srnn.InputError, match="expected a folder without Makefile"):
        program.write(tmp_path / "mine")
    assert (tmp_path / "mine" / "Makefile").read_text() == "all:\n"
    assert len(list((tmp_path / "mine").iterdir())) == 1
    for _ in range(2):  # an earlier export is replaced
        program.write(tmp_path / "exported")


def test_without_a_compiler_it_says_that_nothing_was_checked(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    capsys.readouterr()
    assert cli.run(["export", str(run), "--to", "c", "-o", str(tmp_path / "c")]) == 0
    assert "not checked: no C compiler" in capsys.readouterr().out
    gcc = tmp_path / "gcc"
    gcc.write_text("#!/bin/sh\necho 'srnn.c:1: error: too hot' >&2\nexit 1\n")
    gcc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert cli.run(["export", str(run), "--to", "c", "-o", str(tmp_path / "c")]) == 1
    assert "does not compile" in (error := capsys.readouterr().err)
    assert "too hot" in error


def test_a_program_that_computes_something_else_fails_the_check() -> None:
    expected = torch.softmax(torch.randn(50, 4), dim=1)
    same = Comparison(expected + 1e-6, expected, expected, 1.0, 0)
    same.expect_equal()
    for computed in (expected.roll(1, dims=1), expected + 0.01, expected * torch.nan):
        with pytest.raises(RuntimeError, match="something else"):
            replace(same, computed=computed).expect_equal()


def test_8_bit_weights_have_a_scale_for_each_row() -> None:
    weight = torch.tensor([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0], [1e-4, -2e-4, 0.0]])
    found = matrix_of(weight, "int8")
    assert found.scale is not None
    assert found.values.dtype == np.int8
    assert found.values.tolist() == [[64, -127, 32], [0, 0, 0], [64, -127, 0]]
    errors = (found.dense - weight).abs().amax(dim=1)
    assert (errors <= torch.from_numpy(found.scale) / 2 + 1e-9).all()
    assert matrix_of(weight, "float32").dense.equal(weight)


def test_numbers_and_texts_in_c() -> None:
    assert constant(0.1) == "0.100000001f"
    assert constant(3) == "3.0f"
    assert constant(1e-7) == "1.00000001e-07f"
    assert constant(0.1, "double") == "0.10000000000000001"
    assert literal('a"?\\\u00e9 9') == r'"a\042\077\134\303\251 9"'
    table = Table("t", "unsigned", np.array([[1, 2], [300, 4]]))
    assert table.definition == "static const uint16_t t[4] = {\n    1, 2, 300, 4,\n};"
    assert table.nbytes == 8
    members = [
        Member("int8_t", "a", 3, ""),
        Member("double", "b", 0, ""),
        Member("float", "c", 1, ""),
    ]
    assert struct_size(members) == 24


@needs_compiler
@pytest.mark.real_speech
@pytest.mark.skipif(not GSC.is_dir(), reason=f"{GSC} is not there")
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_network_of_the_package_on_real_speech(weights: Weights, tmp_path: Path) -> None:
    with tarfile.open(GSC / "validation.tar") as archive:
        members = [each for each in archive.getmembers() if each.name.endswith(".flac")][::20]
        archive.extractall(tmp_path / "clips", members, filter="data")
    recogniser = srnn.load("gsc8-small")
    found = clips_of(recogniser, [tmp_path / "clips"], 100)
    assert len(found.samples) > 50
    program: Program = program_of(recogniser, weights)
    program.write(tmp_path / "c")
    compiler = find_compiler()
    assert compiler
    comparison = compare(recogniser, program, tmp_path / "c", compiler, found, SANITISED)
    assert (comparison.computed - comparison.expected).abs().median() < 1e-5
    comparison.expect_equal()
    agreement = Agreement.of(comparison.computed, comparison.predicted)
    assert agreement.same >= 0.95 * agreement.clips
    assert torch.equal(probabilities(recogniser, found.samples), comparison.predicted)
