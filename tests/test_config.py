# SPDX-License-Identifier: MPL-2.0
"""The configuration: defaults, overrides, every message, and the way back to TOML."""

from pathlib import Path

import pytest
import tomli

from srnn.config import (
    Config,
    SrnnConfig,
    changes,
    find,
    fixed_on_resume,
    from_tables,
    idle_keys,
    is_named,
    key_table,
    load,
    shaping,
    to_toml,
)
from srnn.config.tables import schemas
from srnn.errors import InputError
from srnn.features.reference import ClipKeys, MelKeys, MelSpec
from srnn.runs.parts import spec_of

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "configs" / "config-v1-cuda.toml"
KEY_REFERENCE = ROOT / "configs" / "README.md"
SIZE = "an integer from 1 to 4096"
WORDS = (
    '"all" or a non-empty list of distinct names '
    '(1 to 60 characters, no slash, not starting with "_" or ".")'
)
TAU = "a list [mean: number > 0, standard deviation: number >= 0]"
SHA256 = '"" or a string of 64 hexadecimal digits'
LINE = "a non-empty line of text"
LEVELS = '"TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR" or "CRITICAL"'
SURROGATES = '"multi_gaussian", "gaussian", "linear" or "slayer"'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str, *overrides: str) -> Config:
    Path("config.toml").write_text(text, encoding="utf-8")
    return load("config.toml", overrides)


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(text, *overrides)
    return str(caught.value).splitlines()


def setting(line: str) -> str:
    """Return the TOML of "table.key = value"."""
    table, _, rest = line.partition(".")
    return f"[{table}]\n{rest}\n"


def test_reference_file_is_the_defaults_and_holds_the_reference_keys() -> None:
    assert load(REFERENCE) == Config()
    assert tomli.loads(REFERENCE.read_text("utf-8")) == {
        "data": {"dataroot": "google", "gsc_url": "speech_commands_v0.01"},
        "srnn": {
            "network_size": 256,
            "learning_rate": 3e-3,
            "epochs": 30,
            "batch_size": 32,
            "size": 16000,
            "sample_rate": 16000,
            "bias": True,
        },
        "mel": {"delta_order": 2, "fmax": 4000, "fmin": 20, "n_mels": 40, "stack": True},
        "logger": {"level": "INFO"},
        "cuda": {"cuda": True},
    }


@pytest.mark.parametrize("text", ["", "[mel]\n", "srnn.epochs = 30", "\ufeff[mel]\r\n"])
def test_one_line_or_less_is_enough(text: str) -> None:
    assert read(text) == Config()


@pytest.mark.parametrize(
    "line",
    [
        "srnn.learning_rate = 1",
        "srnn.network_size = [64, 32, 16]",
        "srnn.tau_mem = [20, 5]",
        "srnn.tau_mem = [0.1, 0]",
        "srnn.seed = 4294967295",
        "srnn.epochs = 1_000_000",
        'data.words = "all"\nunknown = false\nsilence = false',
        'data.words = ["größe", "hey \\"you\\""]',
        'data.words = ["yes"]\nunknown = false',
        "data.workers = 0",
        'data.gsc_url = "https://example.org/clips.tar.gz#v1"',
        f'data.gsc_sha256 = "{"aB" * 32}"',
        "mel.fmax = 8000",
        "mel.fmin = -0.0",
    ],
)
def test_what_is_written_reads_back_equal_and_is_written_the_same(line: str) -> None:
    config = read(setting(line))
    text = to_toml(config)
    assert read(text) == config
    assert to_toml(read(text)) == text


def test_written_file_has_every_key_in_a_fixed_order() -> None:
    written = tomli.loads(to_toml(Config()))
    assert list(written) == ["data", "srnn", "mel", "augment", "logger", "cuda", "listen", "energy"]
    assert {table: list(keys) for table, keys in written.items()} == {
        table: list(keys) for table, keys in schemas().items()
    }


def test_integers_of_float_keys_become_floats() -> None:
    config = read("[srnn]\nlearning_rate = 1\ntau_mem = [20, 5]\n")
    assert "learning_rate = 1.0\n" in to_toml(config)
    assert "tau_mem = [20.0, 5.0]\n" in to_toml(config)


def test_checksum_is_lowered() -> None:
    assert read(f'[data]\ntest_sha256 = "{"AB" * 32}"').data.test_sha256 == "ab" * 32


def test_config_is_frozen_and_hashable() -> None:
    config = read('[data]\nwords = ["a", "b"]\n[srnn]\nnetwork_size = [3, 4]\n')
    assert hash(config) == hash(read(to_toml(config)))
    with pytest.raises(ValueError, match="frozen"):
        config.srnn.epochs = 3


@pytest.mark.parametrize(("size", "layers"), [(5, (5, 5)), ((5,), (5,)), ((3, 4, 5), (3, 4, 5))])
def test_layer_sizes(size: int | tuple[int, ...], layers: tuple[int, ...]) -> None:
    assert SrnnConfig(network_size=size).layer_sizes == layers


@pytest.mark.parametrize(
    ("size", "rate", "hop", "n_fft", "frames"),
    [(16000, 16000, 160, 480, 101), (8000, 11025, 110, 330, 73), (1599, 16000, 160, 480, 10)],
)
def test_frame_sizes(size: int, rate: int, hop: int, n_fft: int, frames: int) -> None:
    spec = MelSpec.from_keys(MelKeys(), ClipKeys(size=size, sample_rate=rate))
    assert (spec.hop, spec.n_fft, spec.frames) == (hop, n_fft, frames)


@pytest.mark.parametrize(
    ("window", "hop", "rate", "samples", "frames"),
    [
        (25.0, 5.0, 16_000, (400, 80), 201),
        (20.0, 10.0, 16_000, (320, 160), 101),
        (30.0, 3.0, 16_000, (480, 48), 334),
        (30.0, 1000 / 16_000, 16_000, (480, 1), 16_001),
        (10.0, 10.0, 11_025, (110, 110), 146),
        (4.35, 2.3, 100_000, (435, 230), 70),  # 434.99999999999994 in binary
    ],
)
def test_frame_sizes_of_other_framings(
    window: float, hop: float, rate: int, samples: tuple[int, int], frames: int
) -> None:
    config = read(f"[mel]\nwindow = {window}\nhop = {hop}\n[srnn]\nsample_rate = {rate}\n")
    spec = spec_of(config)
    assert (spec.n_fft, spec.hop) == samples
    assert spec.frames == frames


def test_the_usual_framing_is_the_references_at_every_rate() -> None:
    for rate in range(1_000, 192_001, 25):
        spec = MelSpec.from_keys(MelKeys(), ClipKeys(sample_rate=rate))
        assert (spec.n_fft, spec.hop) == (3 * rate // 100, rate // 100)


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("srnn.epochs = true", "an integer from 1 to 1000000", "true"),
        ("srnn.epochs = 1.0", "an integer from 1 to 1000000", "1.0"),
        ("srnn.epochs = 0", "an integer from 1 to 1000000", "0"),
        ('srnn.epochs = "1"', "an integer from 1 to 1000000", '"1"'),
        ("srnn.epochs = 1979-05-27", "an integer from 1 to 1000000", "1979-05-27"),
        ("srnn.epochs = {a = [1]}", "an integer from 1 to 1000000", "{a = [1]}"),
        ('srnn.epochs = "a\\nb"', "an integer from 1 to 1000000", '"a\\nb"'),
        ("srnn.schedule_epochs = 0", "an integer from 1 to 1000000", "0"),
        (
            "srnn.epochs = 0x10000000000000000",
            "an integer from 1 to 1000000",
            "0x10000000000000000",
        ),
        ("srnn.threshold = 1e39", "a number > 0 and <= 1000", "1e+39"),
        ("srnn.learning_rate = true", "a number > 0 and <= 1000", "true"),
        ('srnn.learning_rate = "1"', "a number > 0 and <= 1000", '"1"'),
        ("srnn.learning_rate = 0.0", "a number > 0 and <= 1000", "0.0"),
        ("srnn.learning_rate = nan", "a number > 0 and <= 1000", "nan"),
        ("srnn.learning_rate = inf", "a number > 0 and <= 1000", "inf"),
        ("srnn.batch_size = 0", "an integer from 1 to 65536", "0"),
        ("srnn.size = -1", "an integer from 1 to 10000000", "-1"),
        ("srnn.sample_rate = 999", "an integer from 1000 to 192000", "999"),
        ("srnn.bias = 1", "true or false", "1"),
        ("srnn.seed = 4294967296", "an integer from 0 to 4294967295", "4294967296"),
        ("srnn.surrogate = 'box'", SURROGATES, '"box"'),
        ("srnn.schedule = 'linear'", '"step", "cosine" or "constant"', '"linear"'),
        ("srnn.schedule_factor = 1.5", "a number > 0 and <= 1", "1.5"),
        ("srnn.threshold = 0", "a number > 0 and <= 1000", "0"),
        ("srnn.adaptation = -0.1", "a number from 0 to 1000", "-0.1"),
        ("srnn.encoder_threshold = -1", "a number from 0 to 1000", "-1"),
        ("srnn.encoder_learning_rate = -1", "a number from 0 to 1000", "-1"),
        ("srnn.tau_learning_rate = -1", "a number from 0 to 1000", "-1"),
        ("srnn.checkpoint_minutes = -1", "a number >= 0", "-1"),
        ("srnn.network_size = 0", f"{SIZE} or a non-empty list of integers from 1 to 4096", "0"),
        ("srnn.network_size = []", f"{SIZE} or a non-empty list of integers from 1 to 4096", "[]"),
        (
            "srnn.network_size = [256, true]",
            f"{SIZE} or a non-empty list of integers from 1 to 4096",
            "true as item 2 of the list",
        ),
        ("srnn.tau_mem = [20]", TAU, "[20]"),
        ("srnn.tau_adapt = [200, 50, 1]", TAU, "[200, 50, 1]"),
        ("srnn.tau_readout = [10, -1]", TAU, "-1 as item 2 of the list"),
        ("srnn.tau_readout = 10.0", TAU, "10.0"),
        (
            "srnn.tau_range = [0, 1]",
            "a list [low: number from 0.05 to 1000000.0, high: number from 0.05 to 1000000.0]",
            "0 as item 1 of the list",
        ),
        ("srnn.tau_range = [5, 5]", "low < high", "[5.0, 5.0]"),
        ("srnn.tau_mem_range = [25, 5]", "low < high", "[25.0, 5.0]"),
        ("srnn.tau_adapt_range = [5, 5]", "low < high", "[5.0, 5.0]"),
        ("data.dataroot = ''", LINE, '""'),
        ('data.dataroot = "a\\u0000"', LINE, '"a\\u0000"'),
        ("data.gsc_url = 1", LINE, "1"),
        ("data.gsc_sha256 = 'abc'", SHA256, '"abc"'),
        ("data.test_sha256 = 'abc'", SHA256, '"abc"'),
        ("data.test_url = false", f'"" or {LINE}', "false"),
        ("data.words = 'yes'", WORDS, '"yes"'),
        ("data.words = []", WORDS, "[]"),
        ("data.words = ['yes', 'no', 'yes']", WORDS, '"yes" twice'),
        ("data.words = ['caf\u00e9', 'no', 'cafe\u0301']", WORDS, '"caf\u00e9" twice'),
        ("data.words = ['yes', '']", WORDS, '"" as item 2 of the list'),
        ("data.words = ['_yes', 'no']", WORDS, '"_yes" as item 1 of the list'),
        ("data.words = ['.yes', 'no']", WORDS, '".yes" as item 1 of the list'),
        ("data.words = ['a/b', 'no']", WORDS, '"a/b" as item 1 of the list'),
        ("data.words = ['yes', 1]", WORDS, "1 as item 2 of the list"),
        (f"data.words = '{'x' * 300}'", WORDS, f'"{"x" * 199}...'),
        ("data.unknown = 'no'", "true or false", '"no"'),
        ("data.silence = 0", "true or false", "0"),
        (
            "data.silence_clips = [2300, 260, -1]",
            "a list [training: integer from 0 to 1000000, validation: integer from 0 to 1000000, "
            "testing: integer from 0 to 1000000]",
            "-1 as item 3 of the list",
        ),
        ("data.sampling = 'even'", '"natural", "square_root" or "balanced"', '"even"'),
        ("data.normalisation = 'none'", '"dataset", "standardise" or "batch"', '"none"'),
        ("data.workers = -1", '"auto" or an integer from 0 to 64', "-1"),
        ("data.synthetic_clips = 19", "an integer from 20 to 10000", "19"),
        ("mel.delta_order = 9", "an integer from 0 to 8", "9"),
        ("mel.fmax = 0", "a number > 0", "0"),
        ("mel.fmin = -1", "a number >= 0", "-1"),
        ("mel.n_mels = 40.0", "an integer from 1 to 1024", "40.0"),
        ("mel.stack = 1", "true or false", "1"),
        ("logger.level = 'info'", LEVELS, '"info"'),
        ("cuda.cuda = 'cuda:0'", "true or false", '"cuda:0"'),
        # what keys must satisfy together
        ("mel.fmax = 8000.1", "a number <= 8000.0 (half of srnn.sample_rate)", "8000.1"),
        ("mel.fmin = 4000", "a number < mel.fmax = 4000.0", "4000.0"),
        (
            "srnn.size = 479",
            "at least 480 samples (mel.window = 30.0 ms) at srnn.sample_rate = 16000",
            "479",
        ),
        ("mel.window = 0", "a number > 0 and <= 1000", "0"),
        ("mel.hop = 1001", "a number > 0 and <= 1000", "1001"),
        (
            "mel.hop = 30.1",
            "a number <= mel.window = 30.0 (sound between two windows is lost)",
            "30.1",
        ),
        (
            "mel.hop = 0.06",
            "at least one sample (0.0625 ms) at srnn.sample_rate = 16000",
            "0.06",
        ),
        ("srnn.tau_mem = [0.09, 1]", "a mean within srnn.tau_range = [0.1, 10000.0]", "0.09"),
        ("srnn.tau_adapt = [1e5, 1]", "a mean within srnn.tau_range = [0.1, 10000.0]", "100000.0"),
        ("srnn.tau_readout = [2e4, 1]", "a mean within srnn.tau_range = [0.1, 10000.0]", "20000.0"),
        ("data.held_out = ['yes']", "no keyword", '"yes"'),
        ("augment.speed = 0.155", "a multiple of 0.01", "0.155"),
        (
            "srnn.unknown_readouts = 2\n[data]\nunknown = false",
            '1 where there is no class `_unknown_` (data.unknown = false or data.words = "all")',
            "2",
        ),
        (
            "data.words = ['yes']\nunknown = false\nsilence = false",
            "at least two words where data.unknown and data.silence are false",
            '["yes"]',
        ),
    ],
)
def test_wrong_value(line: str, expected: str, found: str) -> None:
    key = line.partition(" ")[0]
    assert problems(setting(line)) == [f"config.toml: {key}: expected {expected}, found {found}"]


def test_names_are_the_same_in_either_unicode_form() -> None:
    text = "[data]\nheld_out = ['cafe\u0301']\nwords = ['caf\u00e9', 'no']\n"
    assert problems(text) == ['config.toml: data.held_out: expected no keyword, found "caf\u00e9"']


def test_deltas_need_nine_frames() -> None:
    read("[srnn]\nsize = 1280\n")
    read("[srnn]\nsize = 1279\n[mel]\ndelta_order = 0\n")
    assert problems("[srnn]\nsize = 1279\n") == [
        "config.toml: mel.delta_order: expected 0 where a clip has fewer than 9 frames "
        "(srnn.size = 1279 at srnn.sample_rate = 16000 makes 8, mel.hop = 10.0 ms), found 2"
    ]
    assert problems("", "mel.hop=125.1", "mel.window=200") == [
        "--set mel.delta_order: expected 0 where a clip has fewer than 9 frames "
        "(srnn.size = 16000 at srnn.sample_rate = 16000 makes 8, mel.hop = 125.1 ms), found 2"
    ]


def test_a_window_is_no_longer_than_a_clip() -> None:
    assert problems("[srnn]\nsize = 8000\n", "mel.window=501") == [
        "--set srnn.size: expected at least 8016 samples (mel.window = 501.0 ms) at "
        "srnn.sample_rate = 16000, found 8000"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[srnn]\nepoch = 5", "srnn.epoch: unknown key; did you mean srnn.epochs?"),
        ("[srnn]\nBatchSize = 5", "srnn.BatchSize: unknown key; did you mean srnn.batch_size?"),
        ("[srnn]\nbatch = 5", "srnn.batch: unknown key; did you mean srnn.batch_size?"),
        ("[data]\nepochs = 5", "data.epochs: unknown key; did you mean srnn.epochs?"),
        ("[data]\nxyzzy = 5", "data.xyzzy: unknown key"),
        ("[mel]\nwin_length = 5", "mel.win_length: unknown key; did you mean mel.window (ms)?"),
        ("[mel]\nhop_length = 5", "mel.hop_length: unknown key; did you mean mel.hop (ms)?"),
        ('[data]\n"x\\ny" = 5', "data.x\\ny: unknown key"),
        ("epochs = 5", "epochs: unknown key outside any table; did you mean srnn.epochs?"),
        ("xyzzy = 5", "xyzzy: unknown key outside any table"),
        ("[SRN]\nepochs = 5\nseed = 1", "SRN: unknown table; did you mean srnn?"),
        (
            "[train]",
            "train: unknown table; the tables are data, srnn, mel, augment, logger, cuda, listen, "
            "energy",
        ),
        ("cuda = true", "cuda: expected a table, [cuda], found true"),
        ("[[mel]]\nfmin = 1", "mel: expected a table, [mel], found [{fmin = 1}]"),
        ("[mel]\nfmin = 1\n\n = 5", "line 4, column 2: not valid TOML: Invalid statement"),
        ("[mel]\n[mel]", "line 2, column 5: not valid TOML: Cannot declare ('mel',) twice"),
    ],
)
def test_wrong_place_or_syntax(text: str, line: str) -> None:
    assert problems(text) == [f"config.toml: {line}"]


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000])
def test_toml_that_python_refuses(value: str) -> None:
    (line,) = problems(f"[srnn]\nepochs = {value}")
    assert line.startswith("config.toml: not valid TOML: ")


def test_integer_too_long_for_decimals_is_still_reported() -> None:
    (line,) = problems(f"[srnn]\nseed = 0x{'f' * 5000}")
    assert line.endswith("expected an integer from 0 to 4294967295, found 0x" + "f" * 198 + "...")


def test_not_utf8_names_the_line() -> None:
    Path("config.toml").write_bytes(b"\xef\xbb\xbf[data]\ndataroot = 'caf\xe9'\n")
    with pytest.raises(InputError, match=r"^config\.toml: line 2: not UTF-8: byte 0xe9$"):
        load("config.toml")


def test_all_problems_at_once_and_none_that_follow_from_others() -> None:
    text = """
        [data]
        words = ["yes"]
        unknown = "no"
        silence = false
        [srnn]
        size = 100
        epochs = 0
        tau_mem = [1e6, 1]
        tau_range = "wide"
        [mel]
        fmin = 20000
        fmax = 9000
        bands = 40
        [logger]
        levels = "INFO"
    """
    assert problems(text) == [
        'config.toml: data.unknown: expected true or false, found "no"',
        "config.toml: srnn.tau_range: expected a list [low: number from 0.05 to 1000000.0, "
        "high: number from 0.05 to 1000000.0], "
        'found "wide"',
        "config.toml: srnn.epochs: expected an integer from 1 to 1000000, found 0",
        "config.toml: mel.bands: unknown key",
        "config.toml: logger.levels: unknown key; did you mean logger.level?",
        "config.toml: mel.fmin: expected a number < mel.fmax = 9000.0, found 20000.0",
        "config.toml: srnn.size: expected at least 480 samples (mel.window = 30.0 ms) at "
        "srnn.sample_rate = 16000, found 100",
        "config.toml: mel.fmax: expected a number <= 8000.0 (half of srnn.sample_rate), "
        "found 9000.0",
    ]


def test_every_key_is_checked() -> None:
    everything_wrong = "".join(
        f"[{table}]\n" + "".join(f"{key} = 1979-05-27\n" for key in keys)
        for table, keys in schemas().items()
    )
    lines = problems(everything_wrong)
    assert [line.split(": ")[1] for line in lines] == [
        f"{table}.{key}" for table, keys in schemas().items() for key in keys
    ]


def test_overrides_take_toml_or_plain_text_and_the_last_one_counts() -> None:
    config = read(
        "[srnn]\nepochs = -1\n",
        "srnn.epochs=7",
        "srnn.epochs = 5",
        "srnn.network_size=[8, 4]",
        "data.words=all",
        "data.dataroot=my data=here",
        "data.gsc_url='speech_commands_v0.02'",
        "data.test_url=",
        "cuda.cuda=false",
    )
    assert config.srnn.epochs == 5
    assert config.srnn.layer_sizes == (8, 4)
    assert config.data.words == "all"
    assert config.data.dataroot == "my data=here"
    assert config.data.gsc_url == "speech_commands_v0.02"
    assert config.data.test_url == ""
    assert not config.cuda.cuda


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "srnn.epochs=five",
            '--set srnn.epochs: expected an integer from 1 to 1000000, found "five"',
        ),
        ("srnn.epochs=", '--set srnn.epochs: expected an integer from 1 to 1000000, found ""'),
        ("srnn.epoch=5", "--set srnn.epoch: unknown key; did you mean srnn.epochs?"),
        ("srn.epochs=5", "--set srn: unknown table; did you mean srnn?"),
        ("srnn.epochs.x=5", "--set srnn.epochs.x: unknown key; did you mean srnn.epochs?"),
        ("srnn.epochs", "--set srnn.epochs: expected table.key=value"),
        ("epochs=5", "--set epochs=5: expected table.key=value; did you mean srnn.epochs?"),
        ("srnn={}", "--set srnn={}: expected table.key=value"),
        (".epochs=5", "--set .epochs=5: expected table.key=value"),
        ("mel.fmax=10", "--set mel.fmin: expected a number < mel.fmax = 10.0, found 20.0"),
        ("logger.level=A\nb=1", f'--set logger.level: expected {LEVELS}, found "A\\nb=1"'),
        ("logger.level=1\nb=1", f'--set logger.level: expected {LEVELS}, found "1\\nb=1"'),
        ("data.\udcff=1", "--set data.\\udcff=1: expected table.key=value"),
        ("data.dataroot=\udcff", f'--set data.dataroot: expected {LINE}, found "\\udcff"'),
    ],
)
def test_wrong_override(override: str, line: str) -> None:
    assert problems("", override) == [line]


def test_overrides_are_reported_together_with_the_file() -> None:
    assert problems("cuda = 1\n[mel]\nn_mels = 0\n", "mel.fmax=a", "cuda.cuda=true", "x") == [
        "--set x: expected table.key=value",
        '--set mel.fmax: expected a number > 0, found "a"',
        "config.toml: mel.n_mels: expected an integer from 1 to 1024, found 0",
        "config.toml: cuda: expected a table, [cuda], found 1",
    ]


def test_bare_name_is_looked_up_here_then_in_configs_then_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("configs").mkdir()
    Path("configs/one.toml").write_text("[srnn]\nepochs = 0", encoding="utf-8")
    assert find("one.toml") == Path("configs/one.toml")
    with pytest.raises(InputError, match=r"^configs/one\.toml: srnn\.epochs: "):
        load("one.toml")
    Path("one.toml").mkdir()
    assert find("one.toml") == Path("configs/one.toml")
    Path("one.toml").rmdir()
    Path("one.toml").touch()
    assert find("one.toml") == Path("one.toml")
    assert find("quickstart.toml") == ROOT / "configs" / "quickstart.toml"
    Path("configs/quickstart.toml").touch()
    assert find("quickstart.toml") == Path("configs/quickstart.toml")
    installed = tmp_path / "site-packages" / "srnn"
    (installed / "configs").mkdir(parents=True)
    (installed / "configs" / "two.toml").touch()
    monkeypatch.setattr("srnn.config.reading._PACKAGE", installed)
    assert find("two.toml") == installed / "configs" / "two.toml"


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load("no.toml")
    assert str(caught.value) == (
        f"no.toml: expected a TOML file, found nothing at {tmp_path / 'no.toml'} "
        f"or {tmp_path / 'configs' / 'no.toml'} or {ROOT / 'configs' / 'no.toml'}"
    )
    with pytest.raises(InputError, match=r"^x/no\.toml: .* found nothing at \S+/x/no\.toml$"):
        load("x/no.toml")
    with pytest.raises(InputError, match=r"^\.: expected a TOML file, found a directory$"):
        load(".")
    with pytest.raises(InputError, match=r"^n{999}: cannot be read: File name too long$"):
        load("n" * 999)


def test_key_table_has_a_row_of_four_cells_for_every_key() -> None:
    rows = key_table().splitlines()[2:]
    assert len(rows) == sum(len(keys) for keys in schemas().values())
    assert all(row.count("|") == 5 for row in rows)
    assert (
        "| `mel.fmin` | lowest frequency of the mel bands (Hz) | a number >= 0 | `20.0` |" in rows
    )


def with_current_keys(text: str) -> str:
    """Return the text of configs/README.md with the key reference that the code gives."""
    before, _, rest = text.partition("<!-- keys -->\n")
    _, end, after = rest.partition("<!-- /keys -->")
    assert end, "configs/README.md has no place for the keys"
    return f"{before}<!-- keys -->\n{key_table().strip()}\n{end}{after}"


def test_the_key_reference_is_current() -> None:
    """`python tests/test_config.py` writes it."""
    text = KEY_REFERENCE.read_text("utf-8")
    assert text == with_current_keys(text)


def test_the_other_neuron_does_not_care_for_time_constants_it_has_not() -> None:
    load(
        ROOT / "configs" / "config-v1-cuda.toml",
        ["srnn.neuron=adaptive_current", "srnn.tau_range=[0.1, 15]"],
    )


def test_keys_without_effect() -> None:
    assert not [*idle_keys(Config())]
    for file in (ROOT / "configs").glob("*.toml"):
        assert not [*idle_keys(load(file))], file
    text = "[data]\nsilence = false\n[augment]\nfresh_silence = true\nnoise_level = 0.2\n"
    assert sorted(idle_keys(read(text))) == [
        "augment.fresh_silence = true has no effect beside data.silence = false",
        "augment.noise_level = 0.2 has no effect beside augment.noise = 0.0",
    ]
    assert [*idle_keys(read(text, "augment.noise=0.5", "data.silence=true"))] == []


def test_what_was_changed() -> None:
    assert changes(Config()) == []
    text = '[data]\nwords = ["yes"]\nunknown = true\n[srnn]\nnetwork_size = [64, 32]\n'
    assert changes(read(text, "mel.fmax=8000")) == [
        'data.words = ["yes"]',
        "srnn.network_size = [64, 32]",
        "mel.fmax = 8000.0",
    ]


def test_a_key_is_named_by_its_author_alone(tmp_path: Path) -> None:
    assert is_named(read("[cuda]\ncuda = true\n"), "cuda", "cuda")
    assert is_named(read("", "cuda.cuda=true"), "cuda", "cuda")
    assert not is_named(read("[cuda]\ngraphs = true\n"), "cuda", "cuda")
    assert not is_named(Config(), "cuda", "cuda")
    (tmp_path / "whole.toml").write_text(to_toml(Config()))
    assert not is_named(load(tmp_path / "whole.toml"), "cuda", "cuda")


def test_conditions_name_keys_and_values_that_exist() -> None:
    every = {
        f"{table}.{key}": declared
        for table, keys in schemas().items()
        for key, declared in keys.items()
    }
    conditions = [
        (name, other, value)
        for name, declared in every.items()
        for kind in ("idle_if", "idle_unless", "fixed_if")
        for other, value in declared[kind].items()
    ]
    assert len(conditions) > 15
    for name, other, value in conditions:
        assert other != name
        for each in value if isinstance(value, list | tuple) else [value]:
            table, key = other.split(".")
            from_tables({table: {key: each}}, name)


def test_what_a_key_affects_follows_its_declaration() -> None:
    usual = Config()
    adaptive_current = read('[srnn]\nneuron = "adaptive_current"')
    assert {"srnn.threshold", "mel.hop"} <= shaping(usual).keys()
    assert not {"srnn.tau_mem_range", "mel.floor", "srnn.epochs"} & shaping(usual).keys()
    assert "srnn.tau_mem_range" in shaping(adaptive_current)
    assert "srnn.threshold" not in shaping(adaptive_current)
    assert not {"srnn.epochs", "data.workers"} & fixed_on_resume(usual).keys()
    assert {"srnn.learning_rate", "srnn.seed"} <= fixed_on_resume(usual).keys()
    assert "srnn.epochs" in fixed_on_resume(read('[srnn]\nschedule = "cosine"'))


if __name__ == "__main__":
    KEY_REFERENCE.write_text(with_current_keys(KEY_REFERENCE.read_text("utf-8")), "utf-8")
