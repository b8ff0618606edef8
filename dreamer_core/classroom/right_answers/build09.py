"""Right answers to the builds of notebook 09, written differently from the course's."""

import torch


def one_round(self):
    """All of it written out, with two queues in place of `turns`."""
    import itertools

    buffer, model, plan = self.replay, self.model, self.config.schedule
    self.measure_rewards()
    if model.measures and 2 * model.measured.item() <= buffer.count:
        model.set_units(buffer.read("observation", torch.arange(buffer.count - len(buffer), buffer.count)), buffer.count)
    share = 1.0 if plan.halving == 0 else plan.halving / (plan.halving + self.grad_steps)
    for group in itertools.chain.from_iterable(each.param_groups for each in self.optimizers.values()):
        if "initial_lr" not in group:
            group["initial_lr"] = group["lr"]
        group["lr"] = share * group["initial_lr"]
    queues = [self.learn_model] * plan.model_updates, [self.learn_policy] * plan.agent_updates
    found = {}
    for pair in itertools.zip_longest(*queues):
        for update in filter(None, pair):
            found.update(update())
    return found


def train_by_rows(agent, env, evaluate, random_action, steps, prefill, every, evaluate_every, seed):
    """The next row is believed and stored as soon as it has come, not when its action is due; episodes are an endless generator."""
    curve = []

    def store(carry, seen, came, begins, ends):
        seen = torch.as_tensor(seen, dtype=torch.float32)
        believed = agent.policy(carry, seen.unsqueeze(0), torch.tensor([1.0 if begins else 0.0]), explore=True)
        agent.remember(believed, seen, came, begins, ends)
        return believed

    def life():
        number = 0
        while True:
            seen, _ = env.reset(seed=seed + number)
            now = store(agent.initial(1), seen, 0.0, True, False)
            over = False
            while not over:
                is_random = yield
                if is_random:
                    now = type(now)(now.h, now.z, random_action().reshape(1, -1))
                agent.replay.set_action(now.action.squeeze(0))
                seen, came, ended, cut, _ = env.step(now.action.squeeze(0).detach().numpy())
                now, over = store(now, seen, came, False, bool(ended)), ended or cut
            number += 1

    living = life()
    next(living)
    taken = 0
    while taken < steps:
        taken += 1
        living.send(taken <= prefill)
        if taken > prefill:
            if not taken % every:
                agent.learn()
        elif taken == prefill:
            agent.pretrain()
        if taken == steps or not taken % evaluate_every:
            curve += [(taken, evaluate(agent))]
    return curve


RIGHT = {"9.A": [one_round], "9.B": [train_by_rows]}
