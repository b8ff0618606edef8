"""The world model in JavaScript beside torch's, in a real browser: the same weights, the same noise, the same numbers."""

import base64
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from toys import small

from dreamer_core.agent import Dreamer
from dreamer_core.viz.engine import Mind, pack, rounded, script

STORED = Path(__file__).parents[2] / "notebooks" / "assets" / "pendulum.safetensors"
STEPS, K, CLOSE = 200, 5, 1e-3  # five: engine.js takes four rows at a time, and then the rest
EXPORTED = "window.engine = {readMinds, unhalf, generator, normal};"

ROLL = """({packed, K, actions, noise, observations}) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const [mind] = engine.readMinds(bytes.buffer);
    let state = mind.see(mind.initial(K).h, observations[0], noise[0], K);
    const rows = [];
    const note = () => {
        const {mean, std} = mind.reward(state);
        const row = {h: state.h, z: state.z, observation: mind.decode(state), reward: mean, std, cont: mind.continues(state),
            action: mind.act(state), drawn: mind.act(state, new Float32Array(K * mind.facts.action).fill(0.7)),
            most: mind.sample(mind.prior(state.h, K), null, K)};
        if (state.surprise) row.surprise = state.surprise;
        rows.push(Object.fromEntries(Object.entries(row).map(([name, value]) => [name, [...value]])));
    };
    note();
    actions.forEach((action, t) => {
        const [a, luck] = [Float64Array.from(action), noise[t + 1]];
        state = observations.length > 1 ? mind.look(state, a, observations[t + 1], luck) : mind.dream(state, a, luck);
        note();
    });
    return rows;
}"""


def trained():
    """The stored agent: a Gaussian z."""
    return Dreamer.load(STORED)


def lively(latent):
    """An agent that was never trained, with weights large enough that its dreams do not fade, and every fact unlike its default."""
    config = small(env="Pendulum-v1")
    for name, value in {"latent": latent, "stoch": 5, "classes": 4, "head_layers": 2, "encoder_layers": 2, "decoder_layers": 1}.items():
        setattr(config.model, name, value)
    config.model.reward_std, config.model.min_std, config.model.unimix, config.sac.mean_limit = 0.0, 0.2, 0.05, 1.5
    config.sac.log_std_max = -0.5
    agent = Dreamer(config, 3, 2)
    with torch.no_grad():
        for name, weight in agent.model.named_parameters():
            weight.mul_(3.0 if "prior" in name or "posterior" in name else 1.5)
        agent.model.centre.copy_(torch.tensor([0.1, -0.2, 0.3]))
        agent.model.scale.copy_(torch.tensor([0.5, 2.0, 4.0]))
    agent.replay.reward_unit = 3.0
    return agent


@torch.no_grad()
def in_torch(agent, actions, noise, observations):
    """The same as ROLL, by the course's own classes."""
    model, actor, latent = agent.model, agent.sac.actor, agent.model.rssm.latent
    h, rows = model.rssm.initial(K)[0], []

    def seen(h, observation, luck):
        posterior = model.rssm.posterior(h, model.encode(observation).expand(K, -1))
        return h, latent.sample(posterior, luck), latent.kl(posterior, model.rssm.prior(h))

    def note(h, z, surprise=None):
        state = torch.cat([h, z], -1)
        mean, std = model.predict_reward(state)
        pre_tanh, log_std = actor(state)
        row = {
            "h": h, "z": z, "observation": model.decode(state), "reward": agent.in_world_units(mean), "std": agent.in_world_units(std),
            "cont": torch.sigmoid(model.predict_continue(state)), "action": actor.mode(state),
            "drawn": torch.tanh(pre_tanh + 0.7 * log_std.exp()), "most": latent.mode(model.rssm.prior(h)),
        }  # fmt: skip
        rows.append({name: value.flatten().tolist() for name, value in row.items()})
        if surprise is not None:
            rows[-1]["surprise"] = surprise.tolist()

    h, z, surprise = seen(h, observations[0], noise[0])
    note(h, z, surprise)
    for t, action in enumerate(actions):
        if len(observations) > 1:
            h, z, surprise = seen(model.rssm.step(h, z, action), observations[t + 1], noise[t + 1])
            note(h, z, surprise)
        else:
            h, z = model.rssm.dream_step(h, z, action, noise[t + 1])
            note(h, z)
    return rows


@pytest.fixture
def engine(page):
    """A page in which `engine` holds what engine.js exports."""
    page.add_script_tag(content=f"(() => {{{script('engine.js')}\n{EXPORTED}}})();")
    return page


@pytest.mark.parametrize("eyes", ["shut", "open"])
@pytest.mark.parametrize("agent", [trained(), lively("gaussian"), lively("categorical")], ids=["trained", "gaussian", "categorical"])
def test_two_hundred_steps_are_torchs_own(engine, agent, eyes):
    """Every number of 200 steps, dreamt or seen, from the same pushes and the same noise, with doubles on both sides.

    A dream of a pendulum is unstable, as the pendulum is: under random pushes torch's own floats and doubles differ by up to 0.16
    after 200 steps (six draws of them; 1e-4 in the calmest).
    """
    twin = rounded(agent)
    twin.model.double(), twin.sac.double()
    actions = torch.rand(STEPS, 1, agent.action).mul(2).sub(1).expand(-1, K, -1)
    noise = agent.model.rssm.latent.noise(STEPS + 1, K)
    turn = torch.linspace(0, 9, STEPS + 1)
    observations = torch.stack([turn.cos(), turn.sin(), 3 * (0.7 * turn).sin()], -1)[: None if eyes == "open" else 1]
    asked = {
        "packed": base64.b64encode(pack([Mind(agent, 2000, -145.27)])).decode(), "K": K,
        "actions": actions.flatten(1).tolist(), "noise": noise.flatten(1).tolist(), "observations": observations.tolist(),
    }  # fmt: skip
    found = engine.evaluate(ROLL, asked)
    expected = in_torch(twin, actions.double(), noise.double(), observations.double())
    assert len(found) == len(expected) == STEPS + 1
    moved = np.ptp([row["observation"] for row in expected], axis=0).max()
    assert moved > 0.3, f"nothing happens in these dreams (they move by {moved:.3f}), so they show nothing"
    for name in expected[-1]:
        mine, torchs = (np.array([row[name] for row in rows if name in row]) for rows in (found, expected))
        off = np.abs(mine - torchs) / np.maximum(1, np.abs(torchs))
        assert off.max() < CLOSE, f"{name} is off by {off.max():.2g} in row {off.max(-1).argmax()}"
    assert engine.errors == []


def test_a_dream_that_the_actor_steadies_is_that_of_torchs_floats(engine):
    """200 steps in which the trained actor drives its own dream: nothing is blown up, and floats are enough."""
    agent = rounded(trained())
    noise = agent.model.rssm.latent.noise(STEPS + 1, 1)
    with torch.no_grad():
        h = agent.model.rssm.initial(1)[0]
        z = agent.model.rssm.latent.sample(agent.model.rssm.posterior(h, agent.model.encode(torch.tensor([[-1.0, 0.0, 0.0]]))), noise[0])
        expected = []
        for luck in noise[1:]:
            h, z = agent.model.rssm.dream_step(h, z, agent.sac.actor.mode(torch.cat([h, z], -1)), luck)
            expected.append(agent.model.decode(torch.cat([h, z], -1))[0].tolist())
    found = engine.evaluate(
        """({packed, noise}) => {
            const [mind] = engine.readMinds(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
            let state = mind.see(mind.initial(1).h, [-1, 0, 0], noise[0], 1);
            return noise.slice(1).map((luck) => {
                state = mind.dream(state, mind.act(state), luck);
                return [...mind.decode(state)];
            });
        }""",
        {"packed": base64.b64encode(pack([Mind(agent, 2000, -145.27)])).decode(), "noise": noise.flatten(1).tolist()},
    )
    off = np.abs(np.array(found) - np.array(expected)).max()
    assert off < CLOSE, f"what is dreamt is off by {off:.2g}"
    assert np.array(found)[-50:, 0].min() > 0.8, "the dreaming actor does not hold the pendulum up"


def test_half_floats_are_read_as_numpy_reads_them(engine):
    """Every half float that is a number."""
    halves = np.arange(65536, dtype=np.uint16)
    halves = halves[np.isfinite(halves.view(np.float16))]
    read = engine.evaluate("halves => [...engine.unhalf(new Uint16Array(halves))]", halves.tolist())
    assert np.array_equal(np.array(read), halves.view(np.float16).astype(float)), "unhalf reads a half float as another number"


def test_the_luck_is_normal_and_gumbel(engine):
    """In law: mean and spread of many draws, and another step or seed draws others."""
    draws = """packed => {
        const [mind] = engine.readMinds(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
        return [mind.luck(1, 7, 4000), mind.luck(1, 7, 4000), mind.luck(1, 8, 4000), mind.luck(2, 7, 4000)].map((all) => [...all]);
    }"""
    for latent, mean, std in [("gaussian", 0, 1), ("categorical", 0.5772, np.pi / 6**0.5)]:
        packed = base64.b64encode(pack([Mind(lively(latent), 0, 0.0)])).decode()
        once, again, step, seed = map(np.array, engine.evaluate(draws, packed))
        assert np.array_equal(once, again), "the same seed and step drew other noise"
        for other in (step, seed):
            correlation = np.corrcoef(once, other)[0, 1]
            assert abs(correlation) < 0.05, f"another step or seed repeats the noise (correlation {correlation:.2f})"
        error = 5 * std / len(once) ** 0.5
        assert abs(once.mean() - mean) < error and abs(once.std() - std) < 2 * error, f"mean {once.mean():.3f}, spread {once.std():.3f}"


def test_a_step_with_fifteen_ghosts_is_measured(engine):
    """Printed, not asserted: milliseconds for one step of 16 dreams, with all that the page shows of them."""
    timed = """packed => {
        const [mind] = engine.readMinds(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
        let state = mind.initial(16);
        const began = performance.now();
        for (let t = 0; t < 200; t++) {
            state = mind.dream(state, new Float32Array(16), mind.luck(0, t, 16));
            mind.decode(state); mind.reward(state); mind.act(state);
        }
        return (performance.now() - began) / 200;
    }"""
    took = engine.evaluate(timed, base64.b64encode(pack([Mind(trained(), 2000, -145.27)])).decode())
    print(f"\na step of 16 dreams takes {took:.2f} ms; at 60 frames a second there are 16.7")
    assert took > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_pendulum_is_gymnasiums(page, seed):
    """200 steps of random pushes: angle, velocity, what is seen and the reward, and the velocity's limit is met."""
    page.add_script_tag(content=f"(() => {{{script('pendulum.js')}\nwindow.Pendulum = Pendulum;}})();")
    env = gym.make("Pendulum-v1").unwrapped
    env.reset(seed=seed)
    start = [float(x) for x in env.state]
    pushes = np.random.default_rng(seed).uniform(-1, 1, STEPS)
    pushes[100:] = np.sign(env.state[1]) or 1
    expected = []
    for push in pushes:
        if len(expected) >= 100:
            pushes[len(expected)] = push = 1.0 if env.state[1] >= 0 else -1.0
        observation, reward, *_ = env.step(np.array([2 * push]))
        expected.append([*map(float, env.state), *map(float, observation), float(reward)])
    found = page.evaluate(
        """([[angle, velocity], pushes]) => {
            const world = new Pendulum(angle, velocity);
            return pushes.map((push) => {
                const reward = world.push(push);
                return [world.angle, world.velocity, ...world.observation(), reward];
            });
        }""",
        [start, pushes.tolist()],
    )
    assert max(abs(row[1]) for row in expected) == 8, "the test never meets the limit of the velocity"
    off = np.abs(np.array(found) - np.array(expected)).max(0)
    assert off.max() < 1e-5, f"angle, velocity, cos, sin, velocity seen, reward are off by {off}"
