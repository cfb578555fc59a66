# SPDX-License-Identifier: MPL-2.0
"""Words backwards, with the label of other words."""

import torch

from srnn.augment.reversal import Reversal

SILENCE = torch.tensor([-1, -1, 0])  # clip 2 is silence
CLIPS = torch.tensor([0, 2, 1, 0])
WAVEFORMS = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))


def test_words_are_reversed_and_silence_is_not() -> None:
    draws = torch.zeros(4, 1)
    reversal = Reversal(0.5, SILENCE)
    assert reversal.unknown(draws, CLIPS).tolist() == [True, False, True, True]
    found = reversal(WAVEFORMS, draws, CLIPS)
    assert torch.equal(found[[0, 2, 3]], WAVEFORMS[[0, 2, 3]].flip(1))
    assert torch.equal(found[1], WAVEFORMS[1])


def test_luck_decides() -> None:
    draws = torch.tensor([[0.4], [0.0], [0.6], [0.49]])
    reversal = Reversal(0.5, SILENCE)
    assert reversal.unknown(draws, CLIPS).tolist() == [True, False, False, True]
    found = reversal(WAVEFORMS, draws, CLIPS)
    assert [torch.equal(*pair) for pair in zip(found, WAVEFORMS, strict=True)] == [
        *(False, True, True, False)
    ]
