# SPDX-License-Identifier: MPL-2.0
"""Classify clips with a program that ``srnn export --to torch`` has written.

``python run_program.py PROGRAM.pt2 SOUNDS.npy PROBABILITIES.npy`` needs PyTorch and numpy alone:
the check of the export runs it where this package cannot be imported.
"""

import sys

import numpy as np

sys.modules["srnn"] = None  # type: ignore[assignment] # importing it is an error from here on

import torch  # noqa: E402

_BATCH = 64  # clips that are classified at a time

program, sounds, probabilities = sys.argv[1:]
module = torch.export.load(program).module()
with torch.inference_mode():
    found = [module(some) for some in torch.from_numpy(np.load(sounds)).split(_BATCH)]
np.save(probabilities, torch.cat(found).numpy())
