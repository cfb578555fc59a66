# SPDX-License-Identifier: MPL-2.0
import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from srnn.features.normaliser import Normaliser
from srnn.network.model import Operations, SpikingNetwork
from srnn.training.evaluation import (
    Evaluation,
    evaluate,
    expected_calibration_error,
    wilson_interval,
)
from srnn.training.examples import Examples
from srnn.training.sources import Kept
from srnn.training.spotter import Spotter

CPU = torch.device("cpu")


def result() -> Evaluation:
    return Evaluation(
        "testing",
        ("a", "b", "c"),
        ((3, 1, 0), (0, 4, 0), (0, 0, 0)),
        0.25,
        (0.1,),
        12.0,
        Operations(120.0, 0.0),
        {},
    )


def test_accuracies_follow_from_the_confusion_matrix() -> None:
    assert result().accuracy == pytest.approx(7 / 8)
    noisy = replace(result(), labels=("a", "_silence_", "c"))
    assert noisy.accuracy_without_silence == pytest.approx(3 / 4)
    assert result().accuracy_of_held_out is None
    words = {"go": (9, 9), "bed": (1, 2), "noise/tap": (2, 2), "noise/bike": (0, 5)}
    unheard = replace(result(), words=words, held_out=frozenset(["bed", "tap", "dog"]))
    assert unheard.accuracy_of_held_out == pytest.approx(3 / 4)
    assert result().per_class == {"a": 0.75, "b": 1.0, "c": None}
    assert result().counts == (4, 4, 0)


def test_a_frequent_label_does_not_hide_the_others() -> None:
    """All of `b`, a quarter of `a`; `c` has no clips."""
    skewed = replace(result(), confusion=((1, 3, 0), (0, 36, 0), (0, 0, 0)))
    assert skewed.accuracy == pytest.approx(37 / 40)
    assert skewed.balanced_accuracy == pytest.approx((1 / 4 + 1) / 2)
    assert skewed.majority == "b"
    assert skewed.majority_share == pytest.approx(36 / 40)
    assert str(skewed).splitlines() == [
        "testing: accuracy 92.50%, balanced accuracy 62.50%",
        "95 % interval 80.14% to 97.42%, loss 0.2500",
        "40 clips, 90.00% of them b",
    ]


def test_calibration_error_is_the_distance_of_probability_from_accuracy() -> None:
    """Of 0.9 half are right: 0.4 too much; 0.301 and 0.302 share a range, and all are right."""
    confidences = torch.tensor([0.9, 0.9, 0.301, 0.302])
    hits = torch.tensor([True, False, True, True])
    expected = (2 * 0.4 + (1 - 0.301) + (1 - 0.302)) / 4
    assert expected_calibration_error(confidences, hits) == pytest.approx(expected)
    assert expected_calibration_error(torch.ones(3), torch.ones(3, dtype=torch.bool)) == 0


def test_calibrated_probabilities_have_no_calibration_error() -> None:
    rng = torch.Generator().manual_seed(0)
    confidences = torch.rand(200_000, generator=rng)
    hits = torch.rand(200_000, generator=rng) < confidences
    assert expected_calibration_error(confidences, hits) < 0.01


def test_json_has_what_the_contract_names_and_no_nan() -> None:
    empty = Evaluation("testing", ("a",), ((0,),), None, None, None, None, {})
    for each in (result(), empty):
        content = json.loads(json.dumps(each.to_json(), allow_nan=False))
        assert content.keys() >= {
            "partition",
            "accuracy",
            "interval",
            "balanced_accuracy",
            "majority_share",
            "loss",
            "labels",
            "counts",
            "per_class",
            "confusion",
        }
    for key in ("accuracy", "balanced_accuracy", "majority_share"):
        assert empty.to_json()[key] is None
    assert str(empty) == "testing: no clips"


def test_wilson_interval() -> None:
    """Against the tabulated interval of 81 in 263 (Newcombe 1998, table I, method 3)."""
    low, high = wilson_interval(81, 263) or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = wilson_interval(0, 10) or (1, 1)
    assert (low, round(high, 4)) == (0.0, 0.2775)
    assert wilson_interval(0, 0) is None


def test_one_pass_equals_clip_by_clip() -> None:
    torch.manual_seed(0)
    spotter = Spotter(Normaliser(torch.ones(1, 6)), SpikingNetwork(6, [9, 8], 3)).eval()
    hidden: Any = spotter.network.hidden
    with torch.no_grad():
        for layer in hidden:
            layer.input.weight.mul_(60)
    features, labels = torch.randn(7, 1, 12, 6), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    examples = Examples(labels, labels, Kept(features), tuple("abcabcd"))
    whole = evaluate(spotter, examples, ("a", "b", "c"), "validation", 3, CPU)

    confusion = [[0] * 3 for _ in range(3)]
    loss, spikes, final = 0.0, torch.zeros(2), torch.zeros(2)
    for clip, label in zip(features, labels, strict=True):
        output = spotter(clip[None])
        confusion[label][output.log_probabilities.argmax()] += 1
        loss -= output.log_probabilities[0, label].item() / 7
        spikes += output.spikes[:, 0]
        final += torch.stack([layer[-1, 0].sum() for layer in output.hidden])
    assert [list(row) for row in whole.confusion] == confusion
    last = spotter(features[-1:]).log_probabilities.argmax().item() == 0
    assert whole.words["d"] == (last, 1)
    assert sum(hits for hits, _ in whole.words.values()) == sum(whole.hits)
    assert [count for _, count in whole.words.values()] == [2, 2, 2, 1]
    assert whole.loss == pytest.approx(loss, rel=1e-5)
    assert whole.firing_rate is not None
    assert list(whole.firing_rate) == pytest.approx(
        (spikes / (7 * 12) / torch.tensor([9, 8])).tolist()
    )
    assert min(whole.firing_rate) > 0
    assert whole.spikes == pytest.approx(spikes.sum().item() / 7)
    assert whole.spikes_of_layers == pytest.approx((spikes / 7).tolist())
    # Inputs go to 9 neurons, spikes of the first layer to 8, of the second to itself, a step later,
    # and 3 classes. Those in the last step have no step after it.
    events = spotter.network.encoder(features).count_nonzero().item()
    first, second = spikes.tolist()
    assert final[1] > 0
    expected = (9 * events + 8 * first + 8 * (second - final[1].item()) + 3 * second) / 7
    assert whole.operations == pytest.approx((expected, 0))
    assert whole.energy
    assert whole.energy.total.accumulates == pytest.approx(expected)
    assert [row.spikes for row in whole.energy.layers] == pytest.approx(
        [events / 7, first / 7, second / 7, 0]
    )


def test_spikes_are_counted_where_a_step_receives_them() -> None:
    """Against a loop over the time steps of some clips."""
    torch.manual_seed(1)
    network = SpikingNetwork(4, [5, 6], 3, recurrent=[True, True]).eval()
    hidden: Any = network.hidden
    with torch.no_grad():
        for layer in hidden:
            layer.input.weight.mul_(60)
    features, labels = torch.randn(16, 1, 9, 4), torch.zeros(16, dtype=torch.int64)
    examples = Examples(labels, labels, Kept(features), ("a",) * 16)
    spotter = Spotter(Normaliser(torch.ones(1, 4)), network).eval()
    found = evaluate(spotter, examples, ("a", "b", "c"), "validation", 16, CPU)
    output = network(features)
    expected = 0
    for step in range(9):
        before = [each[step - 1] if step else torch.zeros(1) for each in output.hidden]
        expected += 5 * int(output.inputs[step].count_nonzero() + before[0].sum())
        expected += 6 * int(output.hidden[0][step].sum() + before[1].sum())
        expected += 3 * int(output.hidden[1][step].sum())
    assert min(each[-1].sum() for each in output.hidden) > 0
    assert found.operations == (expected / 16, 0)


def test_features_that_are_not_encoded_cost_multiplications() -> None:
    network = SpikingNetwork(6, [9], 3, recurrent=[True], encoder_threshold=None)
    assert network.operations(100, [20]) == (20 * (9 + 3), 100 * 9)
    assert network.operations(100, [20], [5]) == (15 * 9 + 20 * 3, 100 * 9)
