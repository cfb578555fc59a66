# SPDX-License-Identifier: MPL-2.0
"""A signal while kernels are compiled is not lost in LLVM's callbacks."""

import signal
from typing import NoReturn

import pytest

from srnn.config import Config
from srnn.network.ops.cpu import compilation
from srnn.runs import resources
from srnn.training.interrupt import Interrupted


def test_a_signal_takes_effect_after_the_kernel_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []

    def compile_network(*_: object, **__: object) -> NoReturn:
        signal.raise_signal(signal.SIGTERM)
        reached.append("the callback returns")
        assert compilation._Progress.on_kernel
        compilation._Progress.on_kernel()
        raise AssertionError("the next kernel is compiled")

    monkeypatch.setattr(resources, "network_of", lambda *_, **__: compile_network)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as stopped:
        resources._compile_kernels(Config())
    assert stopped.value.signal == signal.SIGTERM
    assert reached == ["the callback returns"]
    assert signal.getsignal(signal.SIGTERM) == before
    assert compilation._Progress.on_kernel is None
