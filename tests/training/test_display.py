# SPDX-License-Identifier: MPL-2.0
"""The lines of epochs and the estimates of time, without any training."""

import logging

import pytest

from srnn.training.display import EpochTable, Pace, duration
from srnn.training.progress import EpochMetrics

PREFIX = len("23:59:59 INFO    ")  # what the log puts in front


def metrics_of(epoch: int, *, rates: tuple[float, ...] = (0.0512, 0.0441)) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch,
        lr=3e-3,
        train_loss=0.65432,
        train_accuracy=0.8123,
        valid_loss=1.01234,
        valid_accuracy=1.0,
        valid_balanced_accuracy=0.4567,
        firing_rate=list(rates),
        seconds=12.0,
        samples_per_second=1234.5,
    )


def logged(table: EpochTable, line: EpochMetrics, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    caplog.set_level(logging.INFO)
    table.log(line, is_best=True, left=5_000.0)
    return caplog.messages


def test_an_epoch_is_one_line_of_at_most_80_columns(caplog: pytest.LogCaptureFixture) -> None:
    *header, line = logged(EpochTable(30), metrics_of(7), caplog)
    assert line.split() == [
        *("7/30", "0.654", "81.2%", "1.012", "100%", "45.7%*"),
        *("0.051", "0.044", "1234", "83min"),
    ]
    assert [text.split() for text in header] == [
        ["training", "validation", "bal.", "*:", "best", "clips", "time"],
        ["epoch", "loss", "acc.", "loss", "acc.", "acc.", "firing", "per", "s", "left"],
    ]
    for text in (*header, line):
        assert PREFIX + len(text) == 80


@pytest.mark.parametrize("epochs", [1, 999, 1_000, 1_000_000])
@pytest.mark.parametrize("layers", [1, 2, 3, 12])
def test_large_numbers_and_many_layers_fit(
    epochs: int, layers: int, caplog: pytest.LogCaptureFixture
) -> None:
    rates = tuple(0.001 + 0.08 * layer for layer in range(layers))
    line = logged(EpochTable(epochs), metrics_of(epochs, rates=rates), caplog)[-1]
    assert PREFIX + len(line) <= 80
    assert str(epochs) in line
    assert f"{rates[0]:.3f}" in line
    assert f"{rates[-1]:.3f}" in line


def test_the_header_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    table = EpochTable(50)
    counts = [len(logged(table, metrics_of(epoch), caplog)) for epoch in range(1, 42)]
    assert [place for place, count in enumerate(counts) if count == 3] == [0, 20, 40]
    assert set(counts) == {1, 3}


def test_time_left_counts_all_epochs_and_their_validation() -> None:
    pace = Pace(epochs=10, steps=100)
    assert pace.left(1, 0) is None
    pace.validation = 3.0
    pace.add_step(0.5)
    pace.add_step(1.5)
    assert pace.left(1, 2) == pytest.approx(998 * 1.0 + 10 * 3.0)
    assert pace.left(10, 100) == pytest.approx(3.0)
    assert pace.left(11, 0) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, ""), (0.2, "0s"), (99.4, "99s"), (99.6, "2min"), (5_900, "98min")),
        *((6_000, "1h40"), (35_900, "9h58"), (36_000, "10h"), (359_000, "4d"), (8.6e7, "995d")),
    ],
)
def test_durations_take_five_characters(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
    assert len(text) <= 5
