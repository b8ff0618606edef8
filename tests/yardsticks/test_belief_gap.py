"""The measurement of a belief: known wrong answers must come out at their known price, and no model may peek."""

import math

import numpy as np
import pytest
import torch

from dreamer_core.yardsticks import belief_gap
from dreamer_core.yardsticks.belief_gap import Foreseen, as_window, compare, decoder_std, exact, fit, foresee, negative_elbo, small_model
from dreamer_core.yardsticks.known_world import Episodes, World, random_episodes

WORLD = World()
MODEL = small_model("gaussian")
SIGMA = decoder_std(WORLD, MODEL)


@pytest.fixture(scope="module")
def episodes():
    return random_episodes(WORLD, np.random.default_rng(0), 40)


# --- the ruler ----------------------------------------------------------------------------------------


def answers(episodes, mean, std):
    """In place of a model: mixtures that come to N(mean, std) at each row."""

    def samples(model, part, chains, samples):
        which = np.flatnonzero((episodes.reading[:, None, 0] == part.reading[None, :, 0]).any(1))
        spread = np.sqrt(std[which] ** 2 - SIGMA**2)
        noise = torch.randn(len(which), mean.shape[1], chains * samples)
        return torch.from_numpy(mean[which]).float().unsqueeze(-1) + torch.from_numpy(spread).float().unsqueeze(-1) * noise

    return samples


@pytest.mark.parametrize(
    ("shift", "stretch"), [(0.0, 1.0), (0.3, 1.0), (0.0, 1.5), (0.0, 0.8)], ids=["the truth", "shifted", "too wide", "too narrow"]
)
def test_an_answer_wrong_by_a_known_amount_costs_what_the_formula_says(episodes, monkeypatch, shift, stretch):
    """log r + (u - shift / s)^2 / (2 r^2) - u^2 / 2 at each row, for a surprise of u standard deviations s."""
    truth = exact(WORLD, episodes)
    monkeypatch.setattr(belief_gap, "_decode_prior", answers(episodes, truth.mean + shift, stretch * truth.std))
    found = compare(foresee(WORLD, MODEL, episodes), truth, episodes.visible)
    surprise = (episodes.reading - truth.mean) / truth.std
    price = math.log(stretch) + (surprise - shift / truth.std) ** 2 / (2 * stretch**2) - surprise**2 / 2
    for name, rows in {"visible": episodes.visible == 1, "blind": episodes.visible == 0}.items():
        # 900 samples miss a little of the tails, so the measured gap comes out a little too high, never too low.
        assert -0.002 < found[name] - price[rows].mean() < 0.02
    assert found["spread"] == pytest.approx(stretch, abs=0.01)


def test_one_sample_would_be_worthless(episodes, monkeypatch):
    truth = exact(WORLD, episodes)
    monkeypatch.setattr(belief_gap, "_decode_prior", answers(episodes, truth.mean, truth.std))
    assert compare(foresee(WORLD, MODEL, episodes, chains=1, samples=1), truth, episodes.visible)["visible"] > 2


def test_the_exact_answer_costs_its_own_entropy():
    episodes = random_episodes(WORLD, np.random.default_rng(1), 2000)
    truth = exact(WORLD, episodes)
    entropy = 0.5 * np.log(2 * math.pi * math.e * truth.std**2)
    for rows in (episodes.visible == 1, episodes.visible == 0):
        assert truth.nll[rows].mean() == pytest.approx(entropy[rows].mean(), abs=0.01)


def test_the_kinds_of_rows_by_hand():
    visible = np.array([[1, 1, 0, 0, 1, 1, 0]])
    flat, zero = np.ones((1, 7)), np.zeros((1, 7))
    model = Foreseen(zero, np.array([[1, 1, 2, 4, 1, 1, 3]]), np.array([[1.0, 2.0, 10.0, 20.0, 7.0, 3.0, 30.0]]))
    found = compare(model, Foreseen(zero, flat, flat), visible)
    assert found == pytest.approx({"visible": 13 / 4 - 1, "blind": 19, "reappearance": 6, "spread": 13 / 7, "spread_blind": 3})


# --- the model's answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("latent", ["gaussian", "categorical"])
def test_what_is_foreseen_depends_on_nothing_that_comes_with_the_row_or_after_it(latent):
    part = random_episodes(WORLD, np.random.default_rng(2), 3)
    model = small_model(latent)

    def answer(episodes):
        torch.manual_seed(1)
        return foresee(WORLD, model, episodes, chains=2, samples=3)

    before = answer(part)
    for row in (1, 30, 60):
        changed = Episodes(*(rows.copy() for rows in part))
        changed.reading[:, row:] += 5.0
        changed.visible[:, row:] = 1 - changed.visible[:, row:]
        changed.action[:, row:] = 0.0
        after = answer(changed)
        assert np.array_equal(before.mean[:, : row + 1], after.mean[:, : row + 1])
        if row < 60:
            assert (before.mean[:, row + 1] != after.mean[:, row + 1]).all()


def test_the_loss_is_the_elbo_of_the_seen_readings():
    """Against torch's own distributions."""
    part = random_episodes(WORLD, np.random.default_rng(3), 3)
    model = small_model("gaussian")
    window, sigma = as_window(model, part), 0.2
    torch.manual_seed(5)
    losses = negative_elbo(model, window, sigma)
    torch.manual_seed(5)
    beliefs = model.observe(window)
    normal = torch.distributions.Normal
    decoded = model.decoder(beliefs.features)[..., 0]
    error = -normal(decoded, sigma).log_prob(torch.from_numpy(part.reading).float())[torch.from_numpy(part.visible) == 1]

    def z(params):
        mean, raw = params.chunk(2, -1)
        return normal(mean, torch.nn.functional.softplus(raw) + model.config.min_std)

    kl = torch.distributions.kl_divergence(z(beliefs.posterior), z(model.rssm.prior(beliefs.h))).sum(-1)
    rows = part.visible.size
    assert float(losses["total"].detach()) == pytest.approx(float((error.sum() + kl.sum()).detach()) / rows, rel=1e-4)


def test_blind_readings_reach_neither_loss_nor_belief():
    part = random_episodes(WORLD, np.random.default_rng(4), 3)
    spoilt = part._replace(reading=np.where(part.visible == 1, part.reading, 99.0))
    model = small_model("gaussian")
    assert torch.equal(as_window(model, part).observation, as_window(model, spoilt).observation)


def test_training_lowers_the_loss_and_repeats_itself():
    data = random_episodes(WORLD, np.random.default_rng(5), 64)

    def run():
        torch.manual_seed(3)
        model, seen = small_model("gaussian"), []
        fit(WORLD, model, data, updates=40, batch=8, on_update=lambda losses: seen.append(float(losses["total"].detach())))
        return model, seen

    (model, losses), (again, _) = run(), run()
    assert len(losses) == 40 and losses[-1] < 0.2 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))
