# SPDX-License-Identifier: MPL-2.0
"""Classify clips with a program that ``srnn export --to torch`` has written.

``python run_program.py PROGRAM.pt2 INPUTS.npy PROBABILITIES.npy`` needs only PyTorch and numpy. The
check of the export runs it.
"""

import sys

import numpy as np

sys.modules["srnn"] = None  # type: ignore[assignment] # importing it is an error

import torch  # noqa: E402

_BATCH = 64  # clips that are classified at a time

program, inputs, probabilities = sys.argv[1:]
module = torch.export.load(program).module()
with torch.inference_mode():
    found = [module(some) for some in torch.from_numpy(np.load(inputs)).split(_BATCH)]
np.save(probabilities, torch.cat(found).numpy())
