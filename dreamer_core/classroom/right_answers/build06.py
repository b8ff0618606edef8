"""A right answer to the build of notebook 06, written differently from the core's."""

import torch

from dreamer_core.errors import NotEnoughData
from dreamer_core.replay import Replay, Window


class Diary(Replay):
    """A queue of rows, each a dictionary, from which the oldest falls out: there are no slots."""

    def __init__(self, config, observation, action, deter, stoch, device="cpu", stored=torch.float32):
        from collections import deque

        self.days, self.width = deque(maxlen=config.capacity), action

    def __len__(self):
        return len(self.days)

    def number(self, n):
        """The row of that number."""
        return self.days[n - (self.count - len(self.days))]

    def add(self, *, observation, reward, first, terminal, h, z, update=0):
        numbers = {"reward": reward, "first": first, "terminal": terminal, "written": update}
        day = {name: torch.tensor(float(value)) for name, value in numbers.items()}
        self.days.append(day | {"observation": observation.clone(), "h": h.clone(), "z": z.clone(), "action": torch.zeros(self.width)})
        self.count += 1

    def set_action(self, action):
        self.days[-1]["action"] = action.clone()

    def read(self, name, index):
        rows = torch.stack([self.number(n)[name] for n in index.flatten().tolist()]) if index.numel() else torch.zeros(0)
        return rows.unflatten(0, index.shape) if index.dim() > 1 else rows

    def window(self, start, length):
        index = torch.stack([start + t for t in range(length)], dim=1)
        columns = {name: self.read(name, index) for name in ("observation", "action", "first", "terminal")}
        return Window(reward=self.read("reward", index) / self.reward_unit, h=self.read("h", start), index=index, **columns)

    def sample(self, batch, length, fresh=False):
        if length > len(self.days):
            raise NotEnoughData(f"only {len(self.days)} rows are stored: too few for a window of {length}")
        newest = self.count - length
        drawn = self.count - 1 - torch.randint(len(self.days), (batch,))
        return self.window(torch.minimum(drawn, torch.tensor(newest)), length)

    def write_back(self, index, h, z, update):
        best = {}
        for window, rows in enumerate(index.tolist()):
            for t, n in enumerate(rows[1:], start=1):
                if best.get(n, (0, 0))[0] < t:
                    best[n] = (t, window)
        for n, (t, window) in best.items():
            self.number(n).update(h=h[window, t].detach().clone(), z=z[window, t].detach().clone(), written=torch.tensor(float(update)))

    def age(self, update):
        return torch.tensor([update - float(day["written"]) for day in self.days])


RIGHT = {"6.A": [Diary]}
