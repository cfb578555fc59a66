# SPDX-License-Identifier: MPL-2.0
"""The CUDA operators: without a GPU as far as that goes, and on one where there is one.

Without: Triton's interpreter runs the kernels on CPU tensors, and its compiler makes machine code
for cards that are not there, which tells shared memory, registers and what the time loop became.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import layer_parity
import pytest
import torch
from layer_parity import ALL_FIRE, SILENT, draw

from srnn.network.encoder import TernaryEncoder
from srnn.network.neurons import NEURONS, State
from srnn.network.neurons.registry import kernel_functions
from srnn.network.ops import library, reference
from srnn.network.ops.cuda import operators as cuda
from srnn.network.ops.signatures import Ternary, TernaryBackward

triton = pytest.importorskip("triton", reason="Triton is not available for this platform")

on_a_gpu = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_interpreted_kernels_agree_with_the_definition() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest"]
    result = subprocess.run(
        [*command, str(Path(__file__).with_name("interpreted_triton.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


# KiB that a program may have at most, by compute capability: A100, RTX 30 and A40, RTX 40 and L4,
# H100, RTX 50.
SHARED_MEMORY = {80: 163, 86: 99, 89: 99, 90: 227, 120: 99}
REGISTERS = 65_536  # of a multiprocessor, whatever the capability

SCANS = ["scan_forward", "scan_adaptation", "scan_backward"]
RECURRENT = ["recurrent_forward", "recurrent_backward"]
TERNARY = ["ternary_forward", "ternary_backward"]


MODULES = dict.fromkeys(SCANS, "scan") | dict.fromkeys(RECURRENT, "recurrent")
MODULES |= dict.fromkeys(TERNARY, "encoder")


def _launch(name: str, neurons: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the constants and options that `cuda` launches a kernel with."""
    if name in RECURRENT:
        tiles = cuda._tiles(neurons)
        return tiles._asdict(), {"num_warps": cuda._warps(tiles)}
    if name in SCANS:
        return {"block": cuda._CELLS, "stages": cuda._SCAN_STAGES}, {}
    return {"block": cuda._FEATURES}, {}


def _compile(name: str, kind: str, capability: int, neurons: int, **changed: int) -> Any:
    """Compile a kernel as its launch would, for a card that need not be there."""
    kernel = getattr(cuda._kernels(MODULES[name]), name)
    sizes, options = _launch(name, neurons)
    functions = kernel_functions(kind, "triton")
    choices = {
        "learnable": len(NEURONS[kind].learnable),
        "derivative": cuda._kernels("surrogates").DERIVATIVES["multi_gaussian"],
        **{each: getattr(functions, each) for each in ("adapt", "step", "step_backward")},
    }
    constants = {"neurons": neurons, **choices, **sizes, **changed}
    scalars = {"steps": "i32", "batch": "i32", "count": "i32"}
    signature: dict[str, Any] = {}
    attributes = {}
    for place, argument in enumerate(kernel.arg_names):
        if argument in constants:
            signature[argument] = "constexpr"
        elif argument == "constants":
            signature[argument] = ("fp32",) * len(NEURONS[kind]().constants)
        elif argument in scalars:
            signature[argument] = scalars[argument]
        else:
            stride = argument.endswith(("_step", "_clip"))
            pointer = "*fp16" if argument == "weights" else "*fp32"
            signature[argument] = "i32" if stride else pointer
            attributes[place,] = [["tt.divisibility", 16]]
    used = {name: value for name, value in constants.items() if name in signature}
    source = triton.compiler.ASTSource(kernel, signature, used, attributes)
    target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options={**options, "enable_fp_fusion": False})


def _expect_to_fit(compiled: Any, capability: int, stack: int, folder: Path) -> None:
    """Check shared memory, registers and the memory that a thread takes for want of registers."""
    assert compiled.metadata.shared <= 1024 * SHARED_MEMORY[capability]
    binary = folder / "kernel.cubin"
    binary.write_bytes(compiled.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    usage = subprocess.check_output([tool, "--dump-resource-usage", binary], text=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found
    registers = -(-int(found[1]) // 8) * 8 * 32 * compiled.metadata.num_warps
    assert registers <= REGISTERS
    assert int(found[2]) <= stack


@pytest.fixture(autouse=True)
def _nothing_compiled_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


# All sizes from 65 neurons on have the same tiles, the largest.
@pytest.mark.parametrize(
    ("capability", "neurons"), [*((each, 256) for each in SHARED_MEMORY), (80, 512), (90, 512)]
)
@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_kernels_fit_the_card(
    name: str, kind: str, capability: int, neurons: int, tmp_path: Path
) -> None:
    # Going back, a dozen of the values that a thread holds may find no register.
    stack = 64 if name == "recurrent_backward" else 0
    _expect_to_fit(_compile(name, kind, capability, neurons), capability, stack, tmp_path)


@pytest.mark.parametrize("capability", SHARED_MEMORY)
@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("name", SCANS)
def test_scans_fit_the_card(name: str, kind: str, capability: int, tmp_path: Path) -> None:
    _expect_to_fit(_compile(name, kind, capability, 256), capability, 0, tmp_path)


@pytest.mark.parametrize("capability", SHARED_MEMORY)
@pytest.mark.parametrize("name", TERNARY)
def test_kernels_of_the_encoder_fit_the_card(name: str, capability: int, tmp_path: Path) -> None:
    _expect_to_fit(_compile(name, "adaptive_threshold", capability, 256), capability, 0, tmp_path)


def adaptation_inputs(kind: str) -> int:
    """Return how many of spikes and potential the adaptation of the next step depends on."""
    neuron = NEURONS[kind]()
    spikes, potential = (torch.rand(1, 1, requires_grad=True) for _ in range(2))
    state = State(spikes, potential, torch.rand(1, 1))
    parameters = torch.rand(len(neuron.learnable), 1)
    adaptation = neuron.step(torch.rand(1, 1), state, parameters).adaptation
    if not adaptation.requires_grad:
        return 0
    gradients = torch.autograd.grad(adaptation.sum(), (spikes, potential), allow_unused=True)
    return sum(gradient is not None for gradient in gradients)


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("name", SCANS)
def test_scans_fetch_as_many_steps_ahead_as_they_are_told(name: str, kind: str) -> None:
    assert "cp.async" not in _compile(name, kind, 90, 256, stages=1).asm["ptx"]
    # A tile of each input for each step whose loads are under way.
    of_adaptation = adaptation_inputs(kind)
    counts = {
        "scan_forward": 1,
        "scan_adaptation": of_adaptation,
        "scan_backward": 3 + (of_adaptation > 0),
    }
    inputs = counts[name]
    for stages in (2, cuda._SCAN_STAGES):
        compiled = _compile(name, kind, 90, 256, stages=stages)
        assert ("cp.async" in compiled.asm["ptx"]) == (inputs > 0)
        assert compiled.metadata.shared == 4 * cuda._CELLS * inputs * (stages - 1)


@pytest.mark.parametrize("language", ["cpu", "triton"])
def test_an_unknown_kind_has_no_kernel_functions(language: str) -> None:
    with pytest.raises(RuntimeError, match=r"expected a neuron with kernels, .* found 'another'"):
        kernel_functions("another", language)


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("name", RECURRENT)
def test_no_step_begins_before_the_one_it_needs_has_ended(name: str, kind: str) -> None:
    single_tile, many = (_compile(name, kind, 90, neurons).asm["ttgir"] for neurons in (64, 256))
    for code in (single_tile, many):
        assert code.rindex("gpu.barrier") > code.rindex("tt.store")
    # With a single tile of weights the time loop is the innermost one. But for its barriers and
    # num_stages=1, Triton would fetch what the next step needs before this step has written it.
    assert "async_copy" not in single_tile
    assert "async_copy" in many  # there the weights are fetched ahead


def test_two_halves_hold_a_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-9, 0, 50)[:, None]
    weight = torch.randn(50, 50, generator=generator) * spread
    for factor in (1e-30, 0.1, 1e30):
        halves, unit = cuda._halves(factor * weight, 64)
        exact = (factor * weight).double()
        error = (halves.double().sum(0)[:50, :50] * unit - exact).abs()
        assert (error <= (2**-23 * exact.abs()).clamp(min=2**-38 * exact.abs().max())).all()
    assert cuda._halves(torch.zeros(3, 3), 16)[0].count_nonzero() == 0


def test_what_the_kernels_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_missing", lambda: None)  # whatever this machine lacks
    assert cuda.unsupported(torch.zeros(1)) is None
    assert cuda.unsupported(torch.zeros(1, dtype=torch.float64)) == (
        "the kernels support torch.float32, not torch.float64"
    )


class TestOnAGpu:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("recurrent", [False, True])
    @pytest.mark.parametrize("neurons", [1, 12, 100, 256, 300, 512, 1024])
    @pytest.mark.parametrize(("steps", "batch"), [(1, 5), (63, 32), (101, 1), (101, 32)])
    @pytest.mark.parametrize("kind", NEURONS)
    def test_layer_agrees_with_the_definition(
        self, kind: str, steps: int, batch: int, neurons: int, recurrent: bool
    ) -> None:
        case = draw(cuda, steps, batch, neurons, kind=kind, recurrent=recurrent, device="cuda")
        layer_parity.check(case, tolerance=2e-5)

    @pytest.mark.parametrize(("level", "rate"), [(SILENT, 0.0), (ALL_FIRE, 1.0)])
    @pytest.mark.parametrize("kind", NEURONS)
    def test_layers_that_never_and_always_fire_agree(
        self, kind: str, level: float, rate: float
    ) -> None:
        case = draw(cuda, 63, 5, 100, kind=kind, level=level, device="cuda")
        assert layer_parity.check(case, tolerance=2e-5) == rate

    @pytest.mark.parametrize("recurrent", [False, True])
    def test_gradients_are_repeatable_and_ignore_what_torch_may_round(
        self, recurrent: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case = draw(cuda, 101, 32, 256, recurrent=recurrent, device="cuda")
        spikes, potentials, *_ = layer_parity.forward(case)
        expected = layer_parity.backward(case, spikes, potentials)
        monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32")
        assert torch.equal(layer_parity.forward(case)[0], spikes)
        found = layer_parity.backward(case, spikes, potentials)
        assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())

    @pytest.mark.parametrize("recurrent", [False, True])
    def test_a_cuda_graph_replays_forward_and_backward(self, recurrent: bool) -> None:
        case = draw(cuda, 20, 5, 100, recurrent=recurrent, device="cuda")
        spikes, potentials, *_ = layer_parity.forward(case)
        expected = layer_parity.backward(case, spikes, potentials)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            again, potentials_again, *_ = layer_parity.forward(case)
            found = layer_parity.backward(case, again, potentials_again)
        graph.replay()
        assert torch.equal(again, spikes)
        assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())

    def test_moments_agree_with_the_definition(self) -> None:
        values = torch.randn(32, 101, 256).transpose(0, 1)
        found, expected = library.moments(values.cuda()), reference.moments(values.double())
        for here, there in zip(found, expected, strict=True):
            torch.testing.assert_close(here.cpu().double(), there, rtol=1e-4, atol=1e-5)

    def test_encoder_agrees_with_the_definition(self) -> None:
        torch.manual_seed(0)
        encoder = TernaryEncoder(backend="reference").double()
        features = torch.randn(32, 3, 101, 40)
        exact = features.double().requires_grad_()
        gradient = torch.randn(features.shape)
        events = encoder(exact)
        expected = torch.autograd.grad(events, [exact, encoder.threshold], gradient.double())

        arguments = features.cuda(), torch.tensor(0.05, device="cuda"), "multi_gaussian"
        assert torch.equal(cuda.ternary(Ternary(*arguments)).cpu(), events.float())
        found = cuda.ternary_backward(TernaryBackward(gradient.cuda(), *arguments))
        for here, there in zip(found, expected, strict=True):
            torch.testing.assert_close(here.cpu().double(), there, rtol=1e-4, atol=1e-5)
