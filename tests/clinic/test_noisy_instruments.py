"""Instruments that look at trained agents and at runs: their numbers where these are known on paper, and their figures."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from dreamer_core.agent import Dreamer
from dreamer_core.clinic import examine
from dreamer_core.clinic.instruments import RUNS, TRAINED, runs, trained
from dreamer_core.clinic.instruments.specimen import filled
from dreamer_core.clinic.instruments.twin import ending
from dreamer_core.clinic.subject import STEPS, Run, Subject, small
from dreamer_core.trainer import Trainer
from dreamer_core.yardsticks import ladder

LEDGE = "dreamer_core.clinic.ledge:Ledge-v0"


@pytest.fixture(scope="module")
def agent():
    """A little trained, with a buffer of 430 rows."""
    config = small(LEDGE, schedule=dict(pretrain_model=40, pretrain_both=10, model_updates=2, agent_updates=2, sac_updates=1))
    config.env_steps, config.evaluation.episodes = 430, 1
    with Trainer(config, warn=lambda sentence: None) as trainer:
        for _ in trainer.run():
            pass
    return trainer.agent


def silent(layer: nn.Linear, bias: float = 0.0) -> None:
    """Let a layer answer the same to everything."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(bias)


def test_a_curve_ends_with_its_last_tenth_and_a_return_with_its_last_evaluation():
    assert ending(np.arange(30.0)) == 28, "the mean of 27, 28 and 29"
    assert ending(np.array([-150.0, -100.0, -50.0])) == -50


def test_trained_instruments_read_a_buffer(agent):
    for name, instrument in TRAINED.items():
        found = instrument.measure(Subject.of(agent))
        assert all(map(math.isfinite, found.numbers.values())) and found.numbers, name
        figure = found.figure()
        assert figure.alt and figure.caption


def test_a_trained_agent_is_examined_as_well_as_a_new_one(agent):
    before, chance = agent.state_dict(), torch.get_rng_state()
    report = examine(agent)
    assert report.healthy, str(report)
    after = agent.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the agent was changed"
    assert torch.equal(chance, torch.get_rng_state())
    assert not any("empty" in sentence for sentence in report.unknown)


def test_a_prior_that_is_the_posterior_is_calibrated():
    """Both are N(0, std), whatever was seen: 68.3 % of z lies within one standard deviation, 95.4 % within two."""
    agent = Dreamer(small(LEDGE), 3, 2)
    filled(agent, 200, 50)
    silent(agent.model.rssm.posterior_out)
    silent(agent.model.rssm.prior[-1])
    found = trained.measure_calibration(Subject.of(agent)).numbers
    assert found["within one"] == pytest.approx(0.683, abs=0.02)
    assert found["within two"] == pytest.approx(0.954, abs=0.01)
    silent(agent.model.rssm.posterior_out, 2.0)  # mean 2, and a prior of 0 with a standard deviation of 0.79
    assert trained.measure_calibration(Subject.of(agent)).off["within one"] == "low"


@pytest.mark.parametrize("preset", ["dropin", "advantage"])
def test_the_sum_of_a_frozen_dream_is_a_geometric_series(preset):
    """Reward 1 for ever, no entropy, and a critic that says 5: what 1 + g + g^2 + ... + 5 g^L comes to."""
    config = small(LEDGE, preset, sac=dict(alpha=0.0, alpha_final=0.0, gamma=0.9))
    agent = Dreamer(config, 3, 2)
    filled(agent, 200, 50)
    agent.sac.restate_values(0.0, 5.0)
    agent.model.reward.restate(0.0, 1.0)
    silent(agent.model.cont, 50.0) if isinstance(agent.model.cont, nn.Linear) else silent(agent.model.cont[-1], 50.0)
    with torch.no_grad():
        valued, summed = trained.value_and_sum(agent)
    steps = math.ceil(math.log(0.02) / math.log(0.9)) - 1  # the last action's value is read, not its reward
    right = (1 - 0.9**steps) / (1 - 0.9) + 5 * 0.9**steps
    assert valued.mean().item() == pytest.approx(5.0, abs=1e-4)
    assert summed.mean().item() == pytest.approx(right, rel=1e-4)


def test_segments_hold_rows_of_one_episode_each():
    agent = Dreamer(small(LEDGE), 3, 2)
    filled(agent, 200, 50)
    found = trained.segments(agent, 20)
    assert len(found) == 8, "of ten stretches, rows 40 to 59 and 140 to 159 hold a start that is not their first row"
    for episode in found:
        number = episode.observation[:, 0]
        assert (number[1:] == number[:-1] + 1).all() and number[0] // 50 == number[-1] // 50
        assert (episode.reward == number[1:]).all(), "the reward of row t + 1 arrives with it"


def a_run(agent: Dreamer) -> Run:
    """A run of forty updates whose numbers are known."""
    model = {"model/observation": 2.0, "model/stat_reward_error": 0.1, "model/continue": 0.2, "model/stat_kl": 3.0}
    model |= {"model/stat_prior_entropy": 5.0, "model/stat_posterior_entropy": 1.0}
    acting = {"agent/critic_loss": 0.5, "agent/entropy": 0.7, "agent/critic_grad_norm": 1.0}
    updates = []
    for number in range(20):
        updates.append(model | {"model/grad_norm": 1.0 if number < 15 else 6.0})
        updates.append(acting | {"agent/q_mean": float(number)})
    return Run([{"env_steps": 600, "eval_return_mean": -3.0}], updates, None, agent)


def test_the_dashboard_reads_the_end_of_a_run():
    subject = Subject.healthy(small(LEDGE))
    subject._runs[STEPS] = a_run(Dreamer(subject.config, 2, 1))
    found = RUNS["dashboard"].measure(subject)
    assert found.numbers["observation"] == 2.0 and found.numbers["return"] == -3.0
    assert found.numbers["prior too wide by"] == 4.0
    assert found.numbers["model gradient grows"] == 6.0 and found.off["model gradient grows"] == "high"
    assert found.numbers["value moved"] == 18.0
    figure = found.figure()
    assert "-3" in figure.get_suptitle() and "Return" not in [axis.get_title() for axis in figure.axes]


def test_the_ladder_names_its_lowest_failed_rung(monkeypatch):
    def climb(build, preset, latent, seed):
        for rung in ladder.RUNGS[:2]:
            wrong = rung.name == "observation"
            yield ladder.Result(rung, tuple(ladder.Answer(q, q.wrong if wrong else q.right) for q in rung.questions))

    monkeypatch.setattr(ladder, "climb", climb)
    found = RUNS["ladder"].measure(Subject.healthy(small(LEDGE)))
    assert found.numbers == {"constant": 0.0, "observation": pytest.approx(3.0)}
    assert "observation" in found.says and "r_t belongs to s_t" in found.says
    assert runs.ladder_figure(found.numbers).alt.endswith("failed: observation.")
