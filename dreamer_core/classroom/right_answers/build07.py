"""Right answers to the builds of notebook 07, written differently from the core's."""

import numpy as np
import torch

from dreamer_core.trajectories import Trajectories
from dreamer_core.viz.error_growth import Growth


def dream(self, seen=None):
    settings, model = self.config.imagination, self.model
    with torch.no_grad():
        if seen is None:
            length = len(self.replay) if len(self.replay) < settings.start_rows else settings.start_rows
            window = self.replay.sample(settings.starts, length)
            believed = model.observe(window)
        else:
            window, believed = seen
        length = window.first.shape[1]
        places = [(n, t) for n in range(len(window.first)) for t in range(max(0, length - settings.last), length)]
        windows, rows = torch.tensor(places).T
        h, z = believed.h[windows, rows], believed.z[windows, rows]
        path, pushes, rewards, going = [torch.cat((h, z), dim=-1)], [], [], []
        while len(pushes) < settings.horizon:
            pushes.append(self.sac.actor.draw(path[-1]))
            h = model.rssm.step(h, z, torch.tanh(pushes[-1]))
            z = model.rssm.latent.sample(model.rssm.prior(h), model.rssm.latent.noise(len(places)))
            path.append(torch.cat((h, z), dim=-1))
            rewards.append(model.predict_reward(path[-1])[0])
            going.append(1 / (1 + torch.exp(-model.predict_continue(path[-1]))))
        kept = (torch.stack(part, dim=1) for part in (path, pushes, rewards, going))
        return Trajectories(*kept, (window.terminal[windows, rows] == 0).float())


def error_growth(agent, episodes, starts, steps, count):
    model, rssm = agent.model, agent.model.rssm

    def wrong_by(guess, real):
        return (((guess - real) / model.scale) ** 2).mean(-1).sqrt().numpy()

    lines = {"dream": [], "persistence": [], "posterior": []}
    for episode in episodes:
        real = torch.as_tensor(np.asarray(episode.observation))
        acts = torch.as_tensor(np.asarray(episode.action))
        if any(start + steps >= len(real) for start in starts):
            raise ValueError(f"an episode of {len(acts)} steps is too short for {steps} steps from row {max(starts)}")
        with torch.no_grad():
            h, _ = rssm.initial(count)
            trail = []
            for t in range(len(real)):
                h = h if t == 0 else rssm.step(h, trail[-1][1], acts[t - 1].expand(count, -1))
                belief = rssm.posterior(h, model.encode(real[t]).expand(count, -1))
                trail.append((h, rssm.latent.sample(belief, rssm.latent.noise(count))))
            seen = torch.stack([model.decode(torch.cat(state, -1)).mean(0) for state in trail])
            for start in starts:
                state, guesses = trail[start], [seen[start]]
                for act in acts[start : start + steps]:
                    state = rssm.dream_step(*state, act.expand(count, -1), rssm.latent.noise(count))
                    guesses.append(model.decode(torch.cat(state, -1)).mean(0))
                rows = slice(start, start + steps + 1)
                lines["dream"].append(wrong_by(torch.stack(guesses), real[rows]))
                lines["persistence"].append(wrong_by(real[start], real[rows]))
                lines["posterior"].append(wrong_by(seen[rows], real[rows]))
    return Growth(**{name: np.stack(errors) for name, errors in lines.items()})


RIGHT = {"7.A": [dream], "7.B": [error_growth]}
