"""The drawings of InvertedPendulum-v5 and Reacher-v5, held against where MuJoCo itself says that the bodies are."""

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from toys import small

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import from_dict
from dreamer_core.viz.branches import branch_out
from dreamer_core.viz.dream import act_out, held_actions
from dreamer_core.viz.film import filmstrip, frames, tell
from dreamer_core.viz.game import DreamGame
from dreamer_core.viz.play import facts_of
from dreamer_core.worlds.drawing import drawing
from dreamer_core.worlds.scene import Circle, Line, Rectangle

mujoco = pytest.importorskip("mujoco", reason="the extra mujoco is not installed: pip install -e '.[mujoco]'")
BOTH = ["InvertedPendulum-v5", "Reacher-v5"]
NEAR = 1e-6  # m


def simulated(name, steps=12):
    """Rows of an episode under random actions: (what is seen (O,), MuJoCo's data at that moment), one after the other."""
    env = gym.make(name)
    seen, _ = env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(steps):
        mujoco.mj_kinematics(env.unwrapped.model, env.unwrapped.data)  # a step moves the joints last, and the bodies only at the next one
        yield seen, env.unwrapped.data
        seen, _, terminated, *_ = env.step(env.action_space.sample())
        if terminated:
            break
    env.close()


def parts_of(name, seen, kind, ink="body"):
    return [part for part in drawing(from_dict({"env": name})).scene(seen).parts if isinstance(part, kind) and part.ink == ink]


def test_cart_and_pole_are_drawn_where_mujoco_has_them():
    """The pole is 0.6 m long, upwards in its own frame; MuJoCo's x is to the right and its z upwards."""
    leans = []
    for seen, data in simulated("InvertedPendulum-v5"):
        (cart,), (rod,) = (parts_of("InvertedPendulum-v5", seen, kind) for kind in (Rectangle, Line))
        foot, turn = data.body("pole").xpos, data.body("pole").xmat.reshape(3, 3)
        tip = foot + turn @ [0, 0, 0.6]
        assert (cart.left + cart.right) / 2 == pytest.approx(data.body("cart").xpos[0], abs=NEAR)
        assert (rod.x1 - rod.x0, rod.y1 - rod.y0) == pytest.approx((tip[0] - foot[0], tip[2] - foot[2]), abs=NEAR)
        leans.append(tip[0] - foot[0])
    assert np.ptp(leans) > 0.02, "the pole hardly moved: nothing was tested"


def test_arm_and_target_are_drawn_where_mujoco_has_them():
    """From above: the elbow, the fingertip and the target."""
    tips = []
    for seen, data in simulated("Reacher-v5"):
        upper, fore = parts_of("Reacher-v5", seen, Line)
        (target,) = parts_of("Reacher-v5", seen, Circle, "mark")
        elbow, tip, goal = (data.body(body).xpos[:2] for body in ("body1", "fingertip", "target"))
        assert (upper.x1, upper.y1) == pytest.approx(elbow, abs=NEAR)
        assert (fore.x0, fore.y0, fore.x1, fore.y1) == pytest.approx((*elbow, *tip), abs=NEAR)
        assert (target.x, target.y) == pytest.approx(goal, abs=NEAR)
        assert drawing(from_dict({"env": "Reacher-v5"})).plane.place(seen) == pytest.approx(
            tip, abs=1e-4
        )  # what is seen of it lags by one frame
        tips.append(tip.copy())
    assert np.ptp(tips, 0).max() > 0.02, "the arm hardly moved: nothing was tested"


@pytest.mark.parametrize(("name", "seconds", "ends"), [("InvertedPendulum-v5", 0.04, [3.0]), ("Reacher-v5", 0.02, [1.0, 1.0])])
def test_a_step_and_the_levers_are_those_of_the_simulator(name, seconds, ends):
    env, found = gym.make(name), drawing(from_dict({"env": name}))
    assert found.real and found.seconds == pytest.approx(env.unwrapped.dt) == pytest.approx(seconds)
    assert [lever.high for lever in found.levers.entries] == ends == env.action_space.high.tolist()
    env.close()


@pytest.mark.parametrize("name", BOTH)
def test_they_are_filmed_and_played(name):
    torch.manual_seed(0)
    config = small(env=name)
    env = envs.make_for(config)
    agent = Dreamer(config, env.observation_space.shape, env.action_space.shape[0])
    branch = branch_out(agent, env, 1, [1], 2, 2)[0]
    assert len(list(frames(tell(branch)))) == len(branch.world.observation)
    figure = filmstrip(tell(branch))
    assert all(axis.lines or axis.patches for axis in figure.axes), "an empty picture"
    plt.close(figure)
    game = DreamGame(agent, act_out(env, 1, held_actions(5, agent.action, 4, 0)), dreams=2)
    assert len(facts_of(game)["levers"]["entries"]) == agent.action
    game.resume()
    assert game.step(np.ones(agent.action)).step == 1
