"""The convention of time: rows by hand, rows as the trainer stores them, and the picture."""

import numpy as np
import torch
from runs import tiny

from dreamer_core.trainer import Trainer
from dreamer_core.viz.show import png
from dreamer_core.viz.timeline import Rows, as_rows, timeline_figure

SEEN, DONE, PAID = torch.tensor([[0.0], [1.0], [2.0], [1.0]]), torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([1.0, 2.0, 1.0])


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_rows_by_hand():
    reward, first, terminal, action = as_rows(SEEN, DONE, PAID, terminated=True)
    assert reward.tolist() == [0, 1, 2, 1]
    assert first.tolist() == [1, 0, 0, 0]
    assert terminal.tolist() == [0, 0, 0, 1]
    assert action.tolist() == [[1], [1], [-1], [0]]
    assert as_rows(SEEN, DONE, PAID, terminated=False)[2].tolist() == [0, 0, 0, 0]


def test_the_trainer_stores_the_same_rows(monkeypatch):
    trainer = Trainer(tiny(env_steps=20))  # one episode of the toy, which its time limit ends
    seen, paid, step = [trainer.observation], [], trainer.env.step

    def record(action):
        observation, reward, *rest = step(action)
        seen.append(observation)
        paid.append(reward)
        return observation, reward, *rest

    monkeypatch.setattr(trainer.env, "step", record)
    list(trainer.run())
    stored = {name: value[:21] for name, value in trainer.agent.replay.data.items()}
    seen, paid = torch.from_numpy(np.stack(seen)), torch.tensor(paid)
    rows = Rows(seen, *as_rows(seen, stored["action"][:20], paid, terminated=False))
    assert all(torch.equal(getattr(rows, name), stored[name]) for name in rows._fields)


def test_the_picture_holds_every_number_of_the_rows():
    figure = timeline_figure(Rows(SEEN, *as_rows(SEEN, DONE, PAID, terminated=True)), title="a title")
    for expected in ("row 0", "row 3", "first 1", "terminal 1", "$o_{2}$ = 2", "$r_{2}$ = 2", "$a_{2}$ = −1", "step($a_{2}$)", "reset()"):
        assert texts(figure).count(expected) == 1, expected
    assert texts(figure).count("no action") == 1 and "step($a_{3}$)" not in texts(figure)
    assert "rewards 0, 1, 2, 1, actions 1, 1, −1" in figure.alt and figure.caption
    assert png(figure)[:4] == b"\x89PNG"


def test_without_rows_the_picture_holds_symbols():
    figure = timeline_figure(count=3)
    for expected in ("$o_2$", "$r_2$", "$a_2$", r"$\mathrm{first}_2$", "step($a_{2}$)"):
        assert texts(figure).count(expected) == 1, expected
    assert "row 3" not in texts(figure) and "symbols only" in figure.alt
