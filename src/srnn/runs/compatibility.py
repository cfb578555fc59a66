# SPDX-License-Identifier: MPL-2.0
"""Checks for resuming a run and for starting from the weights of another."""

import hashlib
import json
import logging

import torch

from srnn.augment.augmentation import DRAWS
from srnn.augment.registry import augmented
from srnn.config import Config, fixed_on_resume, shaping, toml_value, values
from srnn.data.corpus import Corpus
from srnn.data.labels import UNKNOWN
from srnn.data.pack.file import Recording
from srnn.data.silence import AS_RECORDED
from srnn.errors import InputError
from srnn.runs.checkpoint import Checkpoint
from srnn.runs.restore import restore_spotter
from srnn.training.spotter import Spotter

_log = logging.getLogger(__name__)

_DIGEST = "2:"  # begins a `clips_digest`; the first kind, of names only, had no beginning


def expect_same_configuration(config: Config, saved: Config, epochs_done: int, source: str) -> None:
    """Check that a run may be resumed with ``config``.

    Raises
    ------
    InputError
        Naming the keys whose change would make it another run.
    """
    if config.srnn.epochs < epochs_done:
        raise InputError(
            f"{source}: srnn.epochs: expected at least the {epochs_done} that the run has done, "
            f"found {config.srnn.epochs} in this command"
        )
    command, run = values(config), fixed_on_resume(saved)
    problems = [
        f"{source}: {key}: expected {toml_value(run[key])} as in the run, found "
        f"{toml_value(command[key])} in this command"
        for key in run
        if command[key] != run[key]
    ]
    if problems:
        remedy = "leave out CONFIG and --set to go on with the run as it is, or start a new run"
        raise InputError(*problems, f"{source}: {remedy}")


def expect_same_draws(config: Config, draws: int, source: str) -> None:
    """Check that this version draws the augmentations of a run as before.

    Raises
    ------
    InputError
        If the run augments clips, and its version of srnn drew other random numbers for it.
    """
    if augmented(config.augment) and draws != DRAWS:
        raise InputError(
            f"{source}: expected a run whose augmentation this version of srnn draws (version "
            f"{DRAWS} of the draws), found version {draws}: finish it with the version that began "
            "it, or start a new run"
        )


def clips_digest(corpus: Corpus) -> str:
    """Return a digest of labels, training and validation clips, their order and samples.

    It includes background recordings, and not the place of the data set.
    """
    clips: list[object] = []
    for partition in ("training", "validation"):
        packs = {pack.folder: pack for pack in corpus.packs_of(partition)}
        for clip in corpus.partitions[partition]:
            sound = _sound(packs[clip.folder].recordings[clip.name])
            peak = [] if clip.peak == AS_RECORDED else [clip.peak]
            clips.append([partition, clip.label, clip.start, clip.frames, sound, *peak])
    recordings = corpus.packs["training"].recordings
    background = []
    for noise in corpus.noises:
        recording = recordings[noise.name]
        part: list[object] = [noise.start, noise.frames, noise.partition]
        whole = part == [0, recording.frames, None]
        background.append(_sound(recording) + ([] if whole else part))
    content = json.dumps([corpus.labels, clips, background])
    return _DIGEST + hashlib.sha256(content.encode()).hexdigest()


def _sound(recording: Recording) -> list[object]:
    """Return the facts of a recording without its offset, which differs between packs."""
    return [recording.name, 0, recording.frames, recording.sample_rate, recording.checksum]


def expect_same_clips(corpus: Corpus, saved: str, source: str) -> None:
    """Check that a run may be resumed on ``corpus``; ``saved`` is the `clips_digest` of its own.

    Raises
    ------
    InputError
        If folders or recordings came, went or changed, or the run is of a version of this package
        without a digest of their samples.
    """
    if not saved.startswith(_DIGEST):
        raise InputError(
            f"{source}: expected a run that this version of srnn began, found one of an earlier "
            "version, which did not note what the recordings hold: finish it with that version, "
            "or start a new run"
        )
    if clips_digest(corpus) != saved:
        raise InputError(
            f"{source}: expected the clips that the run began with, "
            f"found others in {corpus.place}: restore them, or start a new run"
        )


def expect_transferable(source: Checkpoint, config: Config) -> None:
    """Check that a network as ``config`` describes can have the weights of another run.

    Raises
    ------
    InputError
        If the networks or their features differ, naming the keys.
    """
    saved = source.parsed_config()
    expected, found = shaping(config), values(saved)
    problems = [
        f"--init: {key}: expected {toml_value(expected[key])} as in this command, found "
        f"{toml_value(found[key])} in the run that it names"
        for key in expected
        if expected[key] != found[key]
    ]
    if problems:
        raise InputError(*problems)
    if trained_on := sorted({*config.data.held_out} - {*saved.data.held_out}):
        _log.warning(
            "data.held_out: the weights of --init may have been trained on %s",
            ", ".join(trained_on),
        )


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints hold the same weights, bit for bit."""
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items()
    )


def transfer(source: Checkpoint, spotter: Spotter, config: Config, labels: tuple[str, ...]) -> None:
    """Give ``spotter`` the weights of another run, and the scale of features they were made for.

    A label that both runs have keeps its readout; the readout of every other one stays fresh. Those
    of `_unknown_` are kept where both runs have as many, as their probabilities are summed.

    Raises
    ------
    InputError
        If the weights do not fit the configuration in the file.
    """
    unknown = config.srnn.unknown_readouts
    as_many = unknown == source.parsed_config().srnn.unknown_readouts
    kept = [label for label in labels if label in source.labels and (as_many or label != UNKNOWN)]
    new = [labels.index(label) for label in kept]
    old = [source.labels.index(label) for label in kept]
    if UNKNOWN in kept:
        # Further outputs of `_unknown_`: useful even if they were trained on other words.
        new += range(len(labels), len(labels) - 1 + unknown)
        old += range(len(source.labels), len(source.labels) - 1 + unknown)
    state = spotter.state_dict()
    for name, weights in restore_spotter(source, "--init").state_dict().items():
        if name.startswith("network.readout."):
            state[name][new] = weights[old]
        else:
            state[name] = weights
    spotter.load_state_dict(state)
    fresh = [label for label in labels if label not in kept]
    _log.info(
        "weights of epoch %d; fresh readout for: %s", source.epoch, ", ".join(fresh) or "none"
    )
