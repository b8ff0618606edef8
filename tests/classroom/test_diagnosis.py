"""No named mistake fits: the message says what kind of difference it is, and is true.

Each wrong answer here stands for a kind. None of them is a named mistake of its exercise.
"""

import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from dreamer_core.classroom import diagnosis
from dreamer_core.classroom.diagnosis import AGAIN, Budget, Found
from dreamer_core.classroom.exercises import collect
from dreamer_core.classroom.influence import LARGEST, Table, misread, signs
from dreamer_core.classroom.judge import judge
from dreamer_core.classroom.second_look import cases, close, sight, truth
from dreamer_core.rssm import Beliefs
from dreamer_core.sac import Action

EXERCISES = collect()


def returns_along_the_first_dream(reward, cont, last, gamma):
    future = last
    for t in reversed(range(reward.shape[1])):
        future = reward[:, t] + gamma * cont[0, t] * future
    return future


def replaced_parameters(target, source, polyak):
    for (name, old), new in zip(list(target.named_parameters()), source.parameters()):
        module, _, leaf = name.rpartition(".")
        setattr(target.get_submodule(module), leaf, nn.Parameter((polyak * old + (1 - polyak) * new).detach(), old.requires_grad))


def departure_one_row_early(real, low, high, margin=0.0, patience=3):
    outside = (real < low - margin) | (real > high + margin)
    for row in range(len(outside) - patience):
        if outside[row : row + patience].all(0).any():
            return row
    return None


def unroll_with_stored_h_detached(rssm, h1, embed, action, first, noise):
    found = EXERCISES["5.4"].reference(rssm, h1, embed, action, first, noise)
    return Beliefs(found.h.detach(), found.z, found.posterior)


def one_row_late(cont):
    ones = torch.ones_like(cont[:, :2])
    return torch.cat([ones, cont.cumprod(1)[:, :-2]], 1)[:, : cont.shape[1]]


def mean_baseline(returns, log_prob, baseline, alpha):
    return (returns - alpha * log_prob - baseline.mean()).detach()


def velocity_by_atan(before, after, dt):
    turn = torch.atan(after[..., 1] / after[..., 0]) - torch.atan(before[..., 1] / before[..., 0])
    return ((turn + math.pi) % (2 * math.pi) - math.pi) / dt


def log_prob_cut_in_place(returns, log_prob, baseline, alpha):
    return (returns - alpha * log_prob.detach_() - baseline).detach()


def sample_by_root(mean, log_std, noise):
    return Action(mean + torch.sqrt(log_std) * noise, noise.sum(-1))


def mean_over_the_dreams(q, returns, weight):
    return ((q - returns.detach()).square() * weight).mean((0, 1)).sum()


counter = iter(range(1, 10**9))


def counting(reward, cont, value, gamma):
    return reward + gamma * cont * value + next(counter)


def std_cut(mean, std, target):
    return EXERCISES["4.2"].reference(mean, std.detach(), target)


def log_2_too_much(mean, std, target):
    return EXERCISES["4.2"].reference(mean, std, target) + math.log(2)


def turned(prediction, real, scale):
    return -EXERCISES["7.4"].reference(prediction, real, scale)


def in_degrees(before, after, dt):
    return EXERCISES["1.5"].reference(before, after, dt) * 180 / math.pi


def with_or(rows, weights):
    losses = {name: (weights.get(name) or 1.0) * values.mean() for name, values in rows.items()}
    return losses | {"total": sum(losses.values())}


def spread_taken_out(returns, log_prob, baseline, alpha):
    advantage = (returns - alpha * log_prob - baseline).detach()
    return advantage / advantage.std()


def one_subtracted_once(mean_q, std_q, mean_p, std_p):
    ratio = (std_q / std_p).square()
    return 0.5 * ((ratio + ((mean_q - mean_p) / std_p).square() - ratio.log()).sum(-1) - 1)


def bootstrap_one_gamma_short(reward, cont, last, gamma):
    alive = torch.cumprod(torch.cat([torch.ones_like(cont[:, :1]), cont], 1), 1)
    discounts = gamma ** torch.arange(reward.shape[1], dtype=torch.float32)
    return (reward * alive[:, :-1] * discounts).sum(1) + discounts[-1] * alive[:, -1] * last


def without_the_first_reward(reward, cont, last, gamma):
    return EXERCISES["8.1"].reference(torch.cat([0 * reward[:, :1], reward[:, 1:]], 1), cont, last, gamma)


def one_value_late(reward, cont, value, bonus, gamma, lam):
    late = torch.cat([value[:, 1:], value[:, -1:]], 1)
    return EXERCISES["8.2"].reference(reward, cont, late, bonus, gamma, lam)


def reset_together(model, actor, carry, observation, first, explore):
    """Any first row resets every environment: `first` is read, in a wrong way."""
    return EXERCISES["9.1"].reference(model, actor, carry, observation, first.amax().expand_as(first), explore)


def one_noise_for_all(model, actor, carry, observation, first, explore):
    draw = model.rssm.latent.noise
    model.rssm.latent.noise = lambda count, *rest, **named: draw(1, *rest, **named).expand(count, -1)
    try:
        return EXERCISES["9.1"].reference(model, actor, carry, observation, first, explore)
    finally:
        del model.rssm.latent.noise


KINDS = {
    "a factor of 2": ("5.1", lambda prediction, target: (prediction - target).square().sum(-1) * 2, "4 times the right one"),
    "half": ("2.3", lambda q, log_prob, alpha: (q - alpha * log_prob) / 2, "exactly half the right one"),
    "a size": ("2.5", mean_over_the_dreams, "mean, or a sum, over the wrong axis"),
    "degrees": ("1.5", in_degrees, "in degrees, where radians"),
    "a scalar": (
        "8.3",
        lambda q, log_prob, alpha: alpha * EXERCISES["8.3"].reference(q, log_prob, alpha),
        "multiplied by `alpha` once too often",
    ),
    "a size written as a number": (
        "8.3",
        lambda q, log_prob, alpha: (q.amin(0) - alpha * log_prob).sum(0) / 4,
        "divided by 4, where the size of `q` along axis 1 belongs",
    ),
    "right at one size alone": ("3.3", one_subtracted_once, "right only where the size of the last axis of `mean_q` is 1"),
    "its own spread": ("8.4", spread_taken_out, "divided by its own standard deviation"),
    "one slope": ("8.1", bootstrap_one_gamma_short, "the slope of `last` is divided by `gamma`"),
    "a column left out": ("8.1", without_the_first_reward, "the first column of `reward` plays no part"),
    "an index": ("8.2", one_value_late, "`value` is read one place later than it should be"),
    "read in a wrong way": ("9.1", reset_together, "also depends on other entries of `first`"),
    "shared chance": ("9.1", one_noise_for_all, "how far neighbouring environments lie apart"),
    "an offset": ("4.2", log_2_too_much, "by a constant, log 2"),
    "a sign": ("7.4", turned, "wrong sign"),
    "a row late": ("7.2", one_row_late, "one row late"),
    "reversed": ("7.2", lambda cont: EXERCISES["7.2"].reference(cont).flip(1), "reverse order"),
    "transposed": ("8.2", lambda *inputs: EXERCISES["8.2"].reference(*inputs).T, "in another order"),
    "gradient missing": ("4.2", std_cut, "no gradient reaches `std`"),
    "gradient too much": ("7.1", EXERCISES["7.1"].reference.__wrapped__, "where none should"),
    "a part without gradient": ("5.4", unroll_with_stored_h_detached, "leaves through `h`"),
    "an argument ignored": ("0.3", lambda off, limit: EXERCISES["0.3"].reference(off, 30.0), "`limit` plays no part"),
    "always the same": ("7.3", lambda real, low, high, margin=0.0, patience=3: None, "always the same"),
    "rows mixed": ("8.1", returns_along_the_first_dream, "rows of `cont`"),
    "entries mixed": ("8.4", mean_baseline, "reduced to one number"),
    "one loop short": ("7.3", departure_one_row_early, "a loop ends one round early"),
    "one thing twice": ("1.5", velocity_by_atan, "at two places"),
    "two mistakes": ("8.3", lambda q, log_prob, alpha: (q.amin(0) + alpha * log_prob).sum(0), "Two things at once"),
    "infinity at an extreme": (
        "4.3",
        lambda raw, floor: torch.log(1 + torch.exp(raw)) + floor,
        "Infinity comes out where `raw` is large (right up to",
    ),
    "NaN and where": ("2.2", sample_by_root, "where `log_std` is negative"),
    "beyond a value": (
        "0.2",
        lambda one, other: np.abs(one % 360 - other % 360),
        "where your result is large (right up to 180, wrong from 183 on)",
    ),
    "only in one case": ("5.2", with_or, "a weight of 0"),
    "new parameters": ("2.6", replaced_parameters, "new parameters into `target`"),
    "written in place": ("3.6", lambda probs, one_hot: one_hot.add_(probs - probs.detach()), "in place"),
    "detached in place": ("8.4", log_prob_cut_in_place, "`log_prob` carries a gradient"),
    "everything reduced": ("5.1", lambda prediction, target: 0.5 * nn.functional.mse_loss(prediction, target), "Everything is reduced"),
    "another time another result": ("2.4", counting, "called again with the same numbers"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_difference_is_told(kind):
    number, wrong, words = KINDS[kind]
    verdict = judge(EXERCISES[number], wrong)
    assert not verdict.right and not verdict.mistake, f"{number}: {verdict.mistake or 'accepted'}"
    assert verdict.kind and words in verdict.message, verdict.message


def test_an_argument_that_is_read_in_a_wrong_way_is_not_said_to_play_no_part():
    assert "plays no part" not in judge(EXERCISES["9.1"], reset_together).message


def test_parts_that_are_alike_are_not_said_to_be_exchanged():
    """Of the target's parameters two numbers say that they still learn: these are the same in any order."""

    def weights_alone(target, source, polyak):
        for (name, old), (_, new) in zip(target.named_parameters(), source.named_parameters()):
            if "weight" in name:
                old.data.lerp_(new.data, 1 - polyak)

    assert "other way round" not in judge(EXERCISES["2.6"], weights_alone).message


def test_rows_that_are_all_alike_are_not_said_to_be_late():
    """A mean's gradient is the same in all rows: shifted, it is what it was."""
    assert "late" not in judge(EXERCISES["5.2"], with_or).message


def test_what_is_right_where_it_is_not_one_step_is_not_said_to_be_rescaled():
    """The largest weight is 1: divided by it, weights are what they were. Wrong is a dream of one step alone."""
    reference = EXERCISES["7.2"].reference
    message = judge(EXERCISES["7.2"], lambda cont: cont.clone() if cont.shape[1] == 1 else reference(cont)).message
    assert "divided by its own" not in message, message


def test_another_type_is_not_said_to_be_a_factor():
    message = judge(EXERCISES["6.2"], lambda *sizes: EXERCISES["6.2"].reference(*sizes).float()).message
    assert "half" not in message and "type float32" in message, message


def test_two_changes_are_not_guessed_from_a_few_words():
    """A list of turns holds no numbers: too many pairs of changes explain it."""
    verdict = judge(EXERCISES["9.3"], lambda models, agents: ["model", "agent"] * min(models, agents) + ["agent"] * (models > agents))
    assert not verdict.right and "Two things" not in verdict.message, verdict.message


def test_only_the_gradient_counts_where_the_value_is_free():
    """-mean[w A exp(log pi - sg log pi)] has another value than -mean[w A log pi], and the same gradient."""

    def by_ratio(advantage, log_prob, weight):
        return -(advantage * torch.exp(log_prob - log_prob.detach()) * weight).mean()

    assert judge(EXERCISES["8.5"], by_ratio).right
    assert not judge(EXERCISES["8.5"], lambda advantage, log_prob, weight: by_ratio(advantage, log_prob.detach(), weight)).right


def table(mine, right, shape=(3,)):
    """A table of an input `x` and a result of the same shape."""
    return Table("x", "the result", "it", shape, shape, mine.bool(), right.bool(), {})


SIDES = (lambda each: each.mine, lambda each: each.right)


def words_for(*tables):
    """What is said of the first table, where the others are of other cases."""

    def steps(whose):
        pairs = (signs(whose(each).nonzero(), each.into, each.out).tolist() for each in tables)
        return {tuple(step) for of_one in pairs for step in of_one}

    return misread(tables[0], *map(steps, SIDES))


def test_what_reaches_what_is_read_off_two_tables():
    """A result of three rows: row t should read rows 0 .. t of an input; one that reads row t alone, and one that reads all."""
    right = torch.tril(torch.ones(3, 3))
    assert "entry t of it also depends on later entries of `x`" in words_for(table(torch.ones(3, 3), right))
    assert "entry t of it should also depend on earlier entries of `x`" in words_for(table(torch.eye(3), right))
    without_the_last = right.clone()
    without_the_last[2, 2] = 0
    assert "the last entry of `x`" in words_for(table(without_the_last, right))
    assert words_for(table(right, right)) == ""


def test_what_is_right_in_another_case_is_not_said_to_be_wrong_in_this_one():
    """A dream that ends at once reads one reward; that a wrong answer reads later ones is no fault of reading, for it should elsewhere."""
    upper = torch.triu(torch.ones(3, 3))
    ended, goes_on = table(upper, torch.eye(3)), table(upper, upper)
    assert words_for(ended, goes_on) == ""
    assert "later entries" in words_for(ended)


def test_rows_that_leak_are_told_where_columns_may_be_read():
    """Column t of a weight is read off the earlier columns of the same row. One that also reads other rows is wrong by rows."""
    right = torch.zeros(2, 3, 2, 3)
    for row in range(2):
        right[row, :, row] = torch.tril(torch.ones(3, 3), -1)
    after_an_end = right.clone()
    after_an_end[:, 2, :, 0] = 0  # nothing counts after a 0: there even the own row leaks
    leaks = torch.tril(torch.ones(3, 3), -1).view(1, 3, 1, 3).expand(2, 3, 2, 3)
    tables = [table(leaks.reshape(6, 6), right.reshape(6, 6), (2, 3)) for right in (after_an_end, right)]
    assert "row t of it also depends on other rows of `x`" in words_for(*tables)


def test_what_a_loop_counts_is_not_quoted():
    """`bonus[:, t - 1]` is right where t counts the later row and wrong where it counts the earlier one: learners count either way."""

    def one_bonus_late(reward, cont, value, bonus, gamma, lam):
        late = torch.cat([bonus[:, 1:], bonus[:, -1:]], 1)
        return EXERCISES["8.2"].reference(reward, cont, value, late, gamma, lam)

    message = judge(EXERCISES["8.2"], one_bonus_late).message
    assert "`bonus` is read one place later than it should be" in message and "t - 1" not in message, message


def test_no_more_is_said_of_a_case_than_that_it_is_an_example_where_ordinary_ones_are_wrong_too():
    """Wrong wherever the result is row 0, not because the patience is long."""

    def none_at_row_0(real, low, high, margin=0.0, patience=3):
        return EXERCISES["7.3"].reference(real, low, high, margin, patience) or None

    message = judge(EXERCISES["7.3"], none_at_row_0).message
    assert "For example" in message and "With a patience" not in message, message


def test_right_with_is_only_said_where_further_draws_are_right_too():
    """Wrong for one number in ten: two draws of a look may miss it, and then one would look for the reason in the others."""
    exercise = EXERCISES["0.2"]

    def sometimes(one, other):
        return np.where(np.floor(np.abs(np.asarray(one)) * 10) % 10 == 3, 0.0, exercise.reference(one, other))

    def right(case):
        return close(*(sight(exercise, function, case).values["the result"] for function in (sometimes, exercise.reference)))

    found = [Found(case, sight(exercise, sometimes, case), truth(exercise, case)) for case in cases(exercise)]
    by_chance = {each.case.look.name for each in found if each.right} - {case.look.name for case in cases(exercise) if not right(case)}
    by_chance = {case.look.name for case in cases(exercise, again=AGAIN) if case.look.name in by_chance and not right(case)}
    assert by_chance, "no look is right by chance: the test shows nothing"
    told = judge(exercise, sometimes).message
    said_to_be_right = told.split(", and wrong with")[0].split(", but not with")[0]
    assert not [name for name in by_chance if f"with {name}" in said_to_be_right], told


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
def test_every_named_mistake_is_named(exercise):
    """Also after a look was added: one in which the mistake does something of its own would take its name away."""
    for mistake in exercise.mistakes:
        verdict = judge(exercise, mistake.wrong)
        assert verdict.mistake == mistake.name, f"{mistake.name} is told as {verdict.mistake or verdict.message}"


def test_a_mistake_is_named_where_its_own_code_divides_by_nothing():
    """The lengths are added up; of gradients of 0 the course's way to do so gives NaN, and this one 0."""

    def lengths_added(gradients, limit):
        length = sum(float(gradient.norm()) for gradient in gradients)
        return [gradient * (limit / length if length > limit else 1.0) for gradient in gradients]

    assert judge(EXERCISES["5.5"], lengths_added).mistake == "sum_of_lengths"


def test_a_guard_for_gamma_0_alone_does_not_mend_a_division_by_powers_of_gamma():
    """In float32 the powers of 1/2 end at the 150th: 0 / 0 from there on."""

    def divided(reward, gamma):
        if gamma == 0:
            return reward.clone()
        weight = gamma ** torch.arange(len(reward))
        return torch.flip(torch.cumsum(torch.flip(weight * reward, [0]), 0), [0]) / weight

    verdict = judge(EXERCISES["1.2"], divided)
    assert not verdict.right and "high powers" in verdict.message, verdict


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
def test_every_exercise_has_telling_inputs(exercise):
    """Several looks with names of their own, the same numbers at each call, and one small enough to be changed entry by entry."""
    names = [look.name for look in exercise.looks]
    assert len(names) >= 3 and len(set(names)) == len(names), f"{exercise.id} has the looks {names}"
    for case in cases(exercise):
        one, other = (case.inputs()[0] for _ in range(2))
        for a, b in zip(one, other):
            if isinstance(a, (torch.Tensor, np.ndarray)):
                assert np.array_equal(np.asarray(a), np.asarray(b)), (
                    f"{exercise.id}: the inputs with {case.look.name} change from call to call"
                )
    tensors = [[a for a in case.inputs()[0] if isinstance(a, torch.Tensor)] for case in cases(exercise)]
    assert not any(tensors) or any(all(a.numel() <= LARGEST for a in few) for few in tensors if few), f"{exercise.id} has no small look"


def test_a_search_ends_by_the_number_of_its_tries_or_by_the_time_it_computes():
    changed = list(diagnosis.mutants(EXERCISES["5.1"].reference))
    budget = Budget(tries=3, end=time.process_time() + 1000)
    assert [each.what for each in budget.of(changed)] == [each.what for each in changed[:3]]
    assert not list(budget.of(changed)), "all searches of one diagnosis share one budget"
    assert not list(Budget(tries=3, end=time.process_time() - 1).of(changed)), "a slow function was tried after its time was up"
