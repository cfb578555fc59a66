# SPDX-License-Identifier: MPL-2.0
"""Model cards: what a network does, how well, on which data, and what it is not good for.

The form follows Mitchell et al. 2019, https://doi.org/10.1145/3287560.3287596.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from srnn.config import Config
from srnn.data.labels import SILENCE, UNKNOWN, keywords
from srnn.data.negatives import SYNTHETIC
from srnn.errors import InputError
from srnn.files import write_text
from srnn.instruments.listening.measure import Curves
from srnn.instruments.listening.stream_report import RATES, at_rate
from srnn.instruments.robustness import Measurement
from srnn.instruments.robustness import to_text as robustness_text
from srnn.runs.checkpoint import Checkpoint
from srnn.runs.evaluation_text import to_text
from srnn.runs.included import card_of
from srnn.runs.official import OfficialEvaluation
from srnn.runs.restore import restore_spotter
from srnn.settings import Keys
from srnn.version import VERSION

SHARED = ".srnn"
"""Suffix of a file with a network and its card."""

_SPEECH_COMMANDS = (
    "Speech Commands (`{name}`; Warden 2018, https://arxiv.org/abs/1804.03209), by Google and its "
    "contributors, licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). The weights "
    "are derived from it, or from a part of it, and have the same licence: name Speech Commands "
    "where you pass them on."
)


def public(checkpoint: Checkpoint) -> Checkpoint:
    """Return the weights and the configuration of a network, without the state of training.

    It has neither card nor calibration. It has no paths of the machine that trained it: data root
    and cache have their defaults, and of data sets and negatives only the names remain.
    """
    config = checkpoint.parsed_config()
    data = _with_defaults(config.data, "dataroot", "cache").model_copy(
        update={
            "gsc_url": _base_name(config.data.gsc_url),
            "test_url": _base_name(config.data.test_url),
            "negatives": tuple(map(_base_name, config.data.negatives)),
        }
    )
    plain = config.model_copy(update={"data": data}).model_dump(mode="json")
    return replace(checkpoint, config=plain, training=None, card="", calibration=None)


def card(
    name: str,
    checkpoint: Checkpoint,
    official: OfficialEvaluation,
    robustness: Sequence[Measurement],
    curves: Curves | None,
) -> str:
    """Return a model card, in Markdown.

    Parameters
    ----------
    name : str
        Of the network.
    checkpoint : Checkpoint
    official : OfficialEvaluation
        By the official protocol.
    robustness : sequence of Measurement
    curves : Curves, optional
        Of streams, with sounds without keywords.
    """
    config = checkpoint.parsed_config()
    lines = [
        f"# {name}",
        "",
        *_network(checkpoint, config),
        "",
        *_block(f"srnn predict {name} FILE...\nsrnn listen {name} FILE..."),
        "",
        "## Measured",
        "",
        f"By the official protocol, on the {official.partition} partition (`srnn evaluate {name} "
        f"--partition {official.partition} --protocol official`):",
        "",
        *_block(to_text(official)),
        "",
        "On altered recordings (`--robustness`), accuracy of words and of silence:",
        "",
        *_block(robustness_text(robustness)),
        "",
    ]
    if curves:
        lines += [
            "On streams (`--stream`): keywords missed, at the threshold with so many false alarms "
            "an hour:",
            "",
            *_block(
                "\n".join(at_rate(each, rate, curves) for each in curves.alarms for rate in RATES)
            ),
            "",
        ]
    lines += ["## Data", "", *_data(config), "", "## Limits", "", *_limits(official)]
    return "\n".join(lines) + "\n"


def expect_place(into: Path) -> None:
    """Check that `write` can write there.

    Raises
    ------
    InputError
        If the folder does not exist, or the file is a folder.
    """
    folder = into.parent if into.suffix == SHARED else into
    expected = f"--into {into}: expected a folder, or a file NAME{SHARED} in one"
    if not folder.is_dir():
        raise InputError(f"{expected}, found none")
    if into.suffix == SHARED and into.is_dir():
        raise InputError(f"{expected}, found a folder of that name")


def write(into: Path, name: str, checkpoint: Checkpoint, text: str) -> Path:
    """Write a network and its card; return the file of the network.

    Parameters
    ----------
    into : Path
        A file ``NAME.srnn``, which then has the card, too; or a folder, for two files.
    name : str
        Of the files in a folder.
    checkpoint : Checkpoint
    text : str
        The card.

    Raises
    ------
    InputError
        If the disk does not take them.
    """
    if into.suffix == SHARED:
        replace(checkpoint, card=text).save(into)
        return into
    path = into / f"{name}.safetensors"
    checkpoint.save(path)
    write_text(card_of(path), text)
    return path


def _with_defaults(keys: Keys, *names: str) -> Keys:
    fields = type(keys).model_fields
    return keys.model_copy(update={name: fields[name].default for name in names})


def _base_name(place: str) -> str:
    """Return the last part of a path or of a file URL, and other URLs without user and password."""
    parts = urlsplit(place)
    if "://" in place and parts.scheme != "file":
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return PurePath(parts.path if parts.scheme == "file" else place).name or place


def _network(checkpoint: Checkpoint, config: Config) -> Iterator[str]:
    """Yield what the network is and how it was made."""
    words = ", ".join(keywords(checkpoint.labels))
    others = " and ".join(f"`{each}`" for each in checkpoint.labels if each in (SILENCE, UNKNOWN))
    seconds = config.srnn.size / config.srnn.sample_rate
    network = restore_spotter(checkpoint, "checkpoint").network
    parameters = sum(each.numel() for each in network.parameters())
    yield _wrapped(
        f"A spiking recurrent network that recognises a word in {seconds:g} s of sound at "
        f"{config.srnn.sample_rate:,} Hz: {words}{f'; or {others}' if others else ''}."
    )
    yield ""
    yield _wrapped(
        f"- {parameters:,} parameters: `network_size = {config.srnn.network_size}`, neuron "
        f"`{config.srnn.neuron}`, features `{config.mel.features}`, encoder "
        f"`{config.srnn.encoder}`."
    )
    yield _wrapped(
        f"- Trained by srnn {VERSION} for {checkpoint.epoch} epochs, seed {config.srnn.seed}; the "
        "file has its whole configuration (`srnn.load(...).config`). File and card were written "
        "by `srnn card`."
    )
    if checkpoint.calibration:
        alarms = checkpoint.calibration["false_alarms"]
        yield _wrapped(
            f"- The file has thresholds of the keywords for {alarms:g} false alarms an hour, which "
            "`srnn listen` uses."
        )


def _data(config: Config) -> Iterator[str]:
    """Yield what it was trained on."""
    name = config.data.gsc_url
    if name.startswith("speech_commands_"):
        yield _wrapped(_SPEECH_COMMANDS.format(name=name))
    else:
        yield _wrapped(f"The data set `{name}`; its licence holds for the weights, too.")
    if config.data.synthetic_unknown or SYNTHETIC in config.data.negatives:
        yield _wrapped("Some words or sentences of `_unknown_` were spoken by eSpeak NG.")
    others = [each for each in config.data.negatives if each != SYNTHETIC]
    if others:
        yield _wrapped(f"Recordings without keywords for `_unknown_`: {', '.join(others)}.")


def _limits(official: OfficialEvaluation) -> Iterator[str]:
    """Yield what it is not good for."""
    yield _wrapped("- It recognises only the words above, as the speakers of its data say them.")
    if official.false_keywords is not None:
        yield _wrapped(
            f"- {official.false_keywords:.1%} of other words are taken for a keyword (the "
            "partition that is measured has the words of training; of words that it was not "
            "trained with, more are)."
        )
    yield _wrapped(
        "- It was measured on single words, near the microphone: far speech and several voices at "
        "a time were not measured."
    )
    yield _wrapped("- Nothing that can do harm should depend on its answer.")


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, 100, subsequent_indent="  " * text.startswith("- "), break_long_words=False
    )


def _block(text: str) -> list[str]:
    return ["```text", *text.splitlines(), "```"]
