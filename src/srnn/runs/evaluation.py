# SPDX-License-Identifier: MPL-2.0
"""Evaluation of a run on its own or another data set."""

import copy
import logging
from pathlib import Path
from typing import Literal

from srnn.config import toml_value
from srnn.data.corpus import describe
from srnn.data.preparation import make_evaluation_corpus
from srnn.errors import InputError
from srnn.runs.parts import spec_of, task_of
from srnn.runs.recogniser import Recogniser, load
from srnn.runs.resources import limit_threads, resources
from srnn.training.device import make_device
from srnn.training.evaluation import Evaluation
from srnn.training.evaluation import evaluate as evaluate_examples
from srnn.training.examples import make_examples

_PARTITIONS = ("testing", "validation")

_log = logging.getLogger(__name__)


def evaluate(
    run: str | Path | Recogniser,
    partition: Literal["testing", "validation"] = "testing",
    dataroot: str | Path | None = None,
) -> Evaluation:
    """Measure the accuracy of a trained network, as ``srnn evaluate RUN`` does.

    Parameters
    ----------
    run : str, Path or Recogniser
        A run directory (``best.safetensors`` in it), a checkpoint file, or what `load` returned.
    partition : "testing" or "validation"
    dataroot : str or Path, optional
        Where another data set or a test archive lies; the one trained on if not given.

    Returns
    -------
    Evaluation
        Its ``accuracy``, ``interval``, ``per_class``, ``confusion`` and more; ``to_json()`` is what
        ``test.json`` holds.

    Raises
    ------
    InputError
        If there is no checkpoint or data set, or no clip in the partition.
    """
    if partition not in _PARTITIONS:
        raise InputError(
            f'partition: expected "testing" or "validation", found {toml_value(partition)}'
        )
    recogniser = run if isinstance(run, Recogniser) else load(run)
    root = None if dataroot is None else Path(dataroot)
    limit_threads()
    config, device = recogniser.config, make_device(recogniser.config.cuda)
    corpus = make_evaluation_corpus(task_of(config), recogniser.labels, root, partition)
    _log.info("clips in %s:\n%s", corpus.place, describe(corpus))
    if not corpus.partitions[partition]:
        raise InputError(f"--partition {partition}: expected clips in {corpus.place}, found none")
    with resources(config, device):
        spec = spec_of(config)
        examples = make_examples(corpus, [partition], spec, device, memory_budget=0)[partition]
        spotter = copy.deepcopy(recogniser.spotter).to(device)  # the other one goes on predicting
        labels = recogniser.labels
        size, held_out = config.srnn.batch_size, config.data.held_out
        return evaluate_examples(spotter, examples, labels, partition, size, device, held_out)
