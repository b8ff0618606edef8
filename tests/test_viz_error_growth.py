"""Error growth, held against a linear world whose errors can be worked out."""

import numpy as np
import pytest
from figures import assert_readable
from minds import LinearMind, pendulum_agent

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.viz.dream import Episode, act_out, held_actions
from dreamer_core.viz.error_growth import Growth, error_growth, error_growth_figure, overtaken, rms_error


def test_the_error_is_the_root_mean_square_in_units():
    prediction, real = np.array([[3.0, 40.0], [0.0, 0.0]]), np.zeros((2, 2))
    assert rms_error(prediction, real, np.array([1.0, 10.0])).tolist() == [np.sqrt((9 + 16) / 2), 0]


def test_a_model_with_a_wrong_rate_errs_as_its_powers_say():
    true, believed, steps, starts = 0.9, 0.8, 6, [0, 3]
    x = 5 * true ** np.arange(20, dtype=np.float32)
    episode = Episode(x[:, None], np.zeros((19, 1), np.float32), np.zeros(19, np.float32))
    growth = error_growth(LinearMind(believed, scale=2.0), [episode, episode], starts, steps, count=4)
    k = np.arange(steps + 1)
    at = np.array([x[start] for start in [*starts, *starts]])[:, None] / 2.0
    assert np.allclose(growth.dream, at * (true**k - believed**k), atol=1e-5)
    assert np.allclose(growth.persistence, at * (1 - true**k), atol=1e-5)
    assert np.allclose(growth.posterior, 0)


def test_a_right_model_makes_no_error():
    x = 5 * 0.9 ** np.arange(20, dtype=np.float32)
    episode = Episode(x[:, None], np.zeros((19, 1), np.float32), np.zeros(19, np.float32))
    assert np.allclose(error_growth(LinearMind(0.9), [episode], [0, 3], 6, 2).dream, 0, atol=1e-5)


def medians(dream, persistence):
    return Growth(np.array([dream]), np.array([persistence]), np.zeros((1, len(dream))))


def test_the_horizon_of_use_by_hand():
    assert overtaken(medians([0.1, 0.1, 0.2, 0.6, 0.3], [0, 0.5, 0.5, 0.5, 0.5])) == 3
    assert overtaken(medians([0.1, 0.1, 0.2, 0.3], [0, 0.5, 0.5, 0.5])) is None  # better to the end
    assert overtaken(medians([0.1, 0.9, 0.9, 0.9], [0, 0.5, 0.5, 0.5])) is None  # never better
    assert overtaken(medians([0.1, 0.2, 0.1, 0.9], [0, 0.1, 0.5, 0.5])) == 3  # a bad first step is forgiven


def test_too_long_a_look_ahead_is_turned_away():
    env = envs.make("Pendulum-v1", WrapperConfig())
    with pytest.raises(ValueError, match="go past its end"):
        error_growth(pendulum_agent(), [act_out(env, 0, held_actions(20, 1, 4, 0))], [0, 15], 6, 2)


def test_the_figure():
    env = envs.make("Pendulum-v1", WrapperConfig())
    growth = error_growth(pendulum_agent(), [act_out(env, 0, held_actions(20, 1, 4, 0))], [0, 4, 8], 6, 3)
    assert [part.shape for part in growth] == [(3, 7)] * 3
    assert_readable(error_growth_figure(growth, "growth"))
    figure = error_growth_figure(medians([0.1, 0.1, 0.2, 0.6], [0, 0.5, 0.5, 0.5]))
    assert "no better than no change: 3 steps" in figure.get_axes()[0].get_legend_handles_labels()[1]
