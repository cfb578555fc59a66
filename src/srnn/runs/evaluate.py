# SPDX-License-Identifier: MPL-2.0
"""Evaluating what was trained, on its own data set or on another."""

import copy
import logging
from pathlib import Path

from srnn.data.corpus import describe
from srnn.data.preparation import make_evaluation_corpus
from srnn.errors import InputError
from srnn.runs.parts import spec_of, task_of
from srnn.runs.recogniser import Recogniser
from srnn.runs.resources import limit_threads, resources
from srnn.training.device import make_device
from srnn.training.evaluation import Evaluation, evaluate
from srnn.training.examples import make_examples

_log = logging.getLogger(__name__)


def evaluate_recogniser(
    recogniser: Recogniser, partition: str, dataroot: Path | None = None
) -> Evaluation:
    """Evaluate a trained network on a partition.

    Parameters
    ----------
    recogniser : Recogniser
    partition : "validation" or "testing"
    dataroot : Path, optional
        Where another data set or a test archive lies; the one trained on if not given.

    Raises
    ------
    InputError
        If there is no data set, it cannot be packed, too much of it is unreadable, or no clip is in
        the partition.
    """
    limit_threads()
    config, device = recogniser.config, make_device(recogniser.config.cuda)
    corpus = make_evaluation_corpus(task_of(config), recogniser.labels, dataroot, partition)
    _log.info("clips in %s:\n%s", corpus.place, describe(corpus))
    if not corpus.partitions[partition]:
        raise InputError(f"--partition {partition}: expected clips in {corpus.place}, found none")
    with resources(config, device):
        spec = spec_of(config)
        examples = make_examples(corpus, [partition], spec, device, memory_budget=0)[partition]
        spotter = copy.deepcopy(recogniser.spotter).to(device)  # the other one goes on predicting
        labels = recogniser.labels
        size, unheard = config.srnn.batch_size, config.data.held_out
        return evaluate(spotter, examples, labels, partition, size, device, unheard)
