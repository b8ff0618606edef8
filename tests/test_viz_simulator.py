"""The true world that can be brought back to a moment, without a dream beside it."""

import numpy as np
import pytest
from test_play import Sealed, Shaft

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.viz.dream import act_out
from dreamer_core.viz.simulator import Simulator, can_be_copied

UP = np.ones(1, np.float32)


@pytest.mark.parametrize("kind", [Shaft, Sealed])
def test_a_bookmark_leads_back_as_often_as_it_is_used(kind):
    """And to its own moment, whatever was marked later; the world's luck is the same each time."""
    env = envs.make(f"{kind.__name__}-v0", WrapperConfig())
    simulator = Simulator(env, act_out(env, 3, np.zeros((10, 1), np.float32)))
    simulator.start(4)
    simulator.step(UP)
    mark = simulator.bookmark()
    first = [simulator.step(UP).observation for _ in range(3)]
    later = simulator.bookmark()
    onward = simulator.step(-UP).observation
    for _ in range(3):
        simulator.back(mark)
        assert simulator.sight is mark.sight
        np.testing.assert_array_equal([simulator.step(UP).observation for _ in range(3)], first)
    simulator.back(later)
    np.testing.assert_array_equal(simulator.step(-UP).observation, onward)


def test_whether_a_world_can_be_copied_is_found_out_and_leaves_no_trace():
    for name, copies in (("Shaft-v0", True), ("Sealed-v0", False), ("Shared-v0", False)):
        env = envs.make(name, WrapperConfig())
        episode = act_out(env, 3, np.zeros((10, 1), np.float32))
        assert can_be_copied(env, episode) is copies, name
        np.testing.assert_array_equal(Simulator(env, episode).start(0).observation, episode.observation[0])
