# SPDX-License-Identifier: MPL-2.0
import torch

from srnn.features.normaliser import Normaliser, moments, std


def some_features() -> torch.Tensor:
    torch.manual_seed(0)
    scales = torch.tensor([[1.0, 5.0, 100.0], [0.0, 2.0, 0.1]])
    return 3 + torch.randn(2500, 2, 7, 3) * scales[:, None]


def test_std_is_the_population_standard_deviation_over_examples_and_time() -> None:
    features = some_features()
    expected = features.double().std(dim=(0, 2), unbiased=False).float()
    expected[1, 0] = 1  # never varies
    torch.testing.assert_close(std(features.split(600)), expected)


def test_normalised_data_set_has_standard_deviation_one() -> None:
    features = some_features()
    normalised = Normaliser(std([features]))(features)
    torch.testing.assert_close(std([normalised]), torch.ones(2, 3))


def test_standardised_data_set_has_mean_zero_and_std_one() -> None:
    features = some_features()
    mean, deviation = moments(features.split(600))
    torch.testing.assert_close(mean, features.mean(dim=(0, 2)))
    heard, std_found = moments([Normaliser(deviation, mean)(features)])
    torch.testing.assert_close(heard, torch.zeros(2, 3), rtol=0, atol=1e-5)
    expected = torch.ones(2, 3)
    torch.testing.assert_close(std_found, expected)


def test_only_a_mean_that_is_used_is_stored() -> None:
    ones = torch.ones(2, 3)
    assert Normaliser(ones).state_dict().keys() == {"scale"}
    assert Normaliser(ones, ones).state_dict().keys() == {"scale", "mean"}


def test_batch_mates_matter_only_when_each_batch_is_normalised_by_itself() -> None:
    features = some_features()
    by_data_set, by_batch = Normaliser(std([features])), Normaliser(None)
    alone, together = features[:1], features[:8]
    assert torch.equal(by_data_set(alone), by_data_set(together)[:1])
    torch.testing.assert_close(std([by_batch(together)]), torch.ones(2, 3))
    assert not torch.allclose(by_batch(alone), by_batch(together)[:1])
