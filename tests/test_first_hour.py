# SPDX-License-Identifier: MPL-2.0
"""What a newcomer is told before, and instead of, a wait in vain."""

import logging
import re
from pathlib import Path

import pytest

from srnn import cli
from srnn.config import Config, doubtful_keys, load
from srnn.data import audio
from srnn.data.preparation import make_training_corpus
from srnn.data.sources.synthetic import corpus as corpora
from srnn.errors import InputError
from srnn.runs.parts import task_of

ROOT = Path(__file__).parents[1]
READMES = ["configs/README.md", "src/srnn/README.md", "tests/README.md"]


@pytest.fixture(autouse=True)
def _here(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tones)


@pytest.mark.parametrize(
    ("override", "table", "expected"),
    [
        ("data.words=low,high", "data", ("low", "high")),
        ("data.words=[low, high]", "data", ("low", "high")),
        ("data.words=low", "data", ("low",)),
        ("data.words=1,true", "data", ("1", "true")),
        ("data.words=all", "data", "all"),
        ('data.words="all"', "data", "all"),
        ("data.held_out=other", "data", ("other",)),
        ("srnn.network_size=20,10", "srnn", (20, 10)),
        ("srnn.recurrent=true,false", "srnn", (True, False)),
        ("srnn.recurrent=auto", "srnn", "auto"),
        ("data.silence_clips=9,2,2", "data", (9, 2, 2)),
    ],
)
def test_lists_need_no_brackets(override: str, table: str, expected: object) -> None:
    key = override.partition("=")[0].partition(".")[2]
    unknown = ["data.unknown=true", "data.words=low,high"]
    assert getattr(getattr(load("tones.toml", [*unknown, override]), table), key) == expected


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("data.words=low,,high", '"" as item 2 of the list'),
        ("srnn.network_size=20,x", '"x" as item 2 of the list'),
        ("srnn.network_size=x", '"x"'),
    ],
)
def test_lists_that_are_none_are_named(override: str, found: str) -> None:
    with pytest.raises(InputError) as error:
        load("tones.toml", [override])
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"--set {override.partition('=')[0]}: expected ")
    assert line.endswith(f", found {found}")


@pytest.mark.parametrize("keys", [["data.words=low,nope"], ["augment.noise=0.5"], []])
def test_what_is_missing_is_noticed_before_anything_is_decoded(
    keys: list[str], tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(audio, "decode", refuse)
    for word in ("low", "high", "other"):
        (tmp_path / "bare" / word).mkdir(parents=True)
        for file in (tones / "tones" / word).iterdir():
            (tmp_path / "bare" / word / file.name).symlink_to(file)
    place = [f"data.dataroot={tmp_path / 'bare'}", *(["data.silence=false"] if keys else [])]
    config = load("tones.toml", [*place, *keys])
    with pytest.raises(InputError) as error:
        make_training_corpus(task_of(config), needs_noise=config.augment.noise > 0)
    key = keys[0].partition("=")[0] if keys else "data.silence"
    assert str(error.value).startswith(f"{key}: expected ")
    assert "found none" in str(error.value)


def doubts(**keys: object) -> list[str]:
    mel = {key: value for key, value in keys.items() if key in ("features", "fmax")}
    data = {key: value for key, value in keys.items() if key == "normalisation"}
    srnn = {key: value for key, value in keys.items() if key == "sample_rate"}
    return list(doubtful_keys(Config.model_validate({"mel": mel, "data": data, "srnn": srnn})))


def test_pcen_asks_for_what_it_needs() -> None:
    assert doubts(features="pcen", normalisation="standardise", fmax=8000.0) == []
    assert [text.partition(" needs")[0] for text in doubts(features="pcen")] == [
        'mel.features = "pcen"'
    ] * 2


def test_log_mel_asks_for_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doubts() == []
    good = {"features": "log_mel", "normalisation": "standardise", "fmax": 8000.0}
    assert doubts(**good) == []
    (scale,) = doubts(**good | {"normalisation": "dataset"})
    assert scale.startswith('mel.features = "log_mel" needs data.normalisation = "standardise" ')
    (high,) = doubts(**good | {"fmax": 4000.0})
    assert high.startswith('mel.features = "log_mel" needs mel.fmax = 8000.0 (found 4000.0)')
    assert doubts(**good | {"fmax": 4000.0, "sample_rate": 8000}) == []  # there is no more
    run = ["tones.toml", "--run-dir", str(tmp_path / "run"), "--set", "srnn.epochs=1"]
    assert cli.run([*run, "--set", "mel.features=log_mel"]) == 0
    assert f"WARNING {scale}\n" in capsys.readouterr().err


def test_nearly_all_unknown_is_warned_of_in_natural_sampling_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("srnn.data.checks._MANY", 0.2)
    logger = logging.getLogger("srnn")
    monkeypatch.setattr(logger, "propagate", True)
    hint = 'data.sampling = "balanced" presents every class equally often'
    for sampling, hinted in (("natural", True), ("balanced", False), ("square_root", False)):
        caplog.clear()
        make_training_corpus(task_of(load("tones.toml", [f"data.sampling={sampling}"])))
        assert (hint in caplog.text) is hinted
        assert "clips for validation of" not in caplog.text  # silence, of which there are four


def test_what_synthetic_voices_take_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "available_cores", lambda: 2)
    assert corpora._duration(38 * 325) == "about 32 s on 2 cores"
    assert corpora._duration(100_000) == "about 4 min on 2 cores"


def anchors(file: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a Markdown file."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", *READMES])
def test_the_links_of_a_readme_lead_somewhere(name: str) -> None:
    file = ROOT / name
    links = re.findall(r"\]\((?!https?:)([^)]*)\)", file.read_text("utf-8"))
    for link in links:
        path, _, anchor = link.partition("#")
        target = file.parent / path if path else file
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_the_front_door_is_short_and_leads_to_the_other_readmes() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 200
    for name in READMES:
        assert f"]({name})" in text
