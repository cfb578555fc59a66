# SPDX-License-Identifier: MPL-2.0
"""Evaluation of a run on its own or another data set."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from srnn.config import toml_value
from srnn.data.corpus import Corpus, describe
from srnn.data.official import has_background, with_official_silence
from srnn.data.preparation import make_evaluation_corpus
from srnn.energy import EnergyKeys
from srnn.errors import InputError
from srnn.runs.official import official
from srnn.runs.parts import spec_of, task_of
from srnn.runs.recogniser import Recogniser, load
from srnn.runs.resources import limit_threads, resources
from srnn.training.device import make_device
from srnn.training.evaluation import Evaluation, Observer
from srnn.training.evaluation import evaluate as evaluate_examples
from srnn.training.examples import make_examples

Partition = Literal["testing", "validation"]
Protocol = Literal["plain", "official"]

_log = logging.getLogger(__name__)


def evaluate(
    run: str | Path | Recogniser,
    partition: Partition = "testing",
    dataroot: str | Path | None = None,
    protocol: Protocol = "plain",
    costs: EnergyKeys | None = None,
) -> Evaluation:
    """Measure the accuracy of a trained network, as ``srnn evaluate RUN`` does.

    Parameters
    ----------
    run : str, Path or Recogniser
        A run directory (``best.safetensors`` in it), a checkpoint file, or what `load` returned.
    partition : "testing" or "validation"
    dataroot : str or Path, optional
        Where another data set or a test archive lies; the one trained on if not given.
    protocol : "plain" or "official"
        "plain": every clip counts equally. "official": classes count equally, and so do the words
        in `_unknown_`; silence, if there are background recordings, is cut anew with all volumes.
        The result is then an `srnn.runs.official.OfficialEvaluation`.
    costs : EnergyKeys, optional
        Of operations and memory accesses; those of the run's table [energy] if not given.

    Returns
    -------
    Evaluation
        Its ``accuracy``, ``interval``, ``per_class``, ``confusion``, ``energy`` and more;
        ``to_json()`` is what ``test.json`` holds.

    Raises
    ------
    InputError
        If there is no checkpoint or data set, or no clip in the partition.
    """
    recogniser = run if isinstance(run, Recogniser) else load(run)
    root = None if dataroot is None else Path(dataroot)
    corpus = corpus_of(recogniser, partition, root, protocol)
    result = evaluate_corpus(recogniser, corpus, partition, costs)
    return official(result, corpus.partitions[partition]) if protocol == "official" else result


def evaluate_corpus(
    recogniser: Recogniser,
    corpus: Corpus,
    partition: Partition,
    costs: EnergyKeys | None = None,
    observe: Observer | None = None,
) -> Evaluation:
    """Evaluate a network on a partition of a corpus, which `corpus_of` returned.

    ``costs`` are those of `evaluate`; ``observe`` receives each batch, in the order of the clips.
    """
    limit_threads()
    config, device = recogniser.config, make_device(recogniser.config.cuda)
    with resources(config, device):
        spec = spec_of(config)
        examples = make_examples(corpus, [partition], spec, device, memory_budget=0)[partition]
        spotter = copy.deepcopy(recogniser.spotter).to(device)  # the other one goes on predicting
        labels = recogniser.labels
        size, held_out = config.srnn.batch_size, config.data.held_out
        costs = config.energy if costs is None else costs
        return evaluate_examples(
            spotter, examples, labels, partition, size, device, held_out, costs, observe
        )


def corpus_of(
    recogniser: Recogniser, partition: Partition, dataroot: Path | None, protocol: Protocol
) -> Corpus:
    """Return the corpus that a network is evaluated on; see `evaluate`.

    Raises
    ------
    InputError
        If there is no such partition or protocol, no data set, or no clip in the partition.
    """
    _expect_one_of("partition", partition, get_args(Partition))
    _expect_one_of("protocol", protocol, get_args(Protocol))
    task = task_of(recogniser.config)
    corpus = make_evaluation_corpus(task, recogniser.labels, dataroot, partition)
    _log.info("clips in %s:\n%s", corpus.place, describe(corpus))
    if not corpus.partitions[partition]:
        raise InputError(f"--partition {partition}: expected clips in {corpus.place}, found none")
    if protocol == "official" and has_background(corpus, partition):
        return with_official_silence(corpus, partition, task.size, task.sample_rate)
    return corpus


def _expect_one_of(name: str, found: str, choices: Sequence[str]) -> None:
    if found not in choices:
        expected = " or ".join(map(toml_value, choices))
        raise InputError(f"{name}: expected {expected}, found {toml_value(found)}")
