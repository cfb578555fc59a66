# SPDX-License-Identifier: MPL-2.0
"""Print digests of short runs of every configuration: equal before and after a restructuring.

    python tests/digests.py DATAROOT [CONFIG ...] [--epochs 3] [--plain]

Each configuration trains for a few epochs on the eight words of the data set in DATAROOT, with one
thread on the CPU; with ``--plain`` nothing is augmented. Its line holds the digests of the weights
(of the best epoch, normalisation folded in), of the metrics without times, and of the result of the
test without its interval. Compare the lines of two commits on one machine: floating-point results
differ between machines.
"""

import argparse
import hashlib
import json
import os
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch and numba are imported

import torch

import srnn
from srnn import config as configuration

CONFIGS = Path(__file__).parents[1] / "configs"
WORDS = "yes,no,up,down,left,right,stop,go"
TIMES = {"seconds", "samples_per_second"}


def digest(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()[:16]


def text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def digests(config: str, dataroot: Path, version: str, epochs: int, *, plain: bool) -> str:
    overrides: dict[str, object] = {
        "data.dataroot": dataroot,
        "data.gsc_url": version,
        "data.words": WORDS,
        "data.workers": 0,
        "srnn.epochs": epochs,
        "cuda.cuda": "false",
    }
    if plain:
        augment = configuration.Config().augment.model_dump()
        names = "shift speed volume noise fresh_silence time_masks band_masks warp mixup"
        overrides |= {f"augment.{name}": augment[name] for name in names.split()}
    settings = configuration.load(
        config,
        [
            f"{key}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in overrides.items()
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        run = srnn.train(settings, Path(folder) / "run")
        weights = srnn.load(run.path).spotter.state_dict()
    metrics = [
        {key: value for key, value in line.items() if key not in TIMES} for line in run.metrics
    ]
    test = {key: value for key, value in run.test.items() if key != "interval"}
    content = [name.encode() + weights[name].numpy().tobytes() for name in sorted(weights)]
    return f"weights {digest(*content)} metrics {digest(text(metrics))} test {digest(text(test))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataroot", type=Path)
    parser.add_argument("--version", default="speech_commands_v0.02")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="without augmentation")
    parser.add_argument("configs", nargs="*", metavar="CONFIG")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for config in given.configs or sorted(map(str, CONFIGS.glob("*.toml"))):
        result = digests(config, given.dataroot, given.version, given.epochs, plain=given.plain)
        print(f"{Path(config).stem:16} {result}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
