"""The course's symbols: what each means, what it is called in the code, and its shape.

The one source: every notebook shows its rows from here, and a test holds each shape against the
tensors of a running agent.
"""

from typing import NamedTuple

from IPython.display import Markdown, display

SIZES = {
    "B": "windows in a batch",
    "T": "rows in a replay window",
    "N": "trajectories, imagined or real",
    "H": "steps in each of them",
    "R": "rows in the buffer",
    "O": "size of an observation",
    "A": "size of an action",
    "D": "size of h",
    "Z": "size of z",
    "F": "size of a state s = (h, z), D + Z",
    "E": "size of the encoder's output",
    "P": "numbers that say how z is spread: 2Z for a Gaussian z, Z for a categorical one",
}


class Entry(NamedTuple):
    """One symbol."""

    symbol: str  # as TeX, without dollar signs
    meaning: str
    name: str  # in the code
    shape: str  # "(B, T, O)", "()" for a number
    notebooks: tuple[str, ...]


ENTRIES = (
    Entry("o_t", "observation", "window.observation", "(B, T, O)", ("00", "01", "03", "05", "06", "10", "11", "13", "14")),
    Entry("a_t", "action that leaves row t, in [-1, 1]", "window.action", "(B, T, A)", ("00", "01", "03", "05", "06", "11", "14")),
    Entry("r_t", "reward that arrives with row t", "window.reward", "(B, T)", ("00", "01", "04", "05", "06", "10", "11", "14")),
    Entry(r"\text{first}_t", "1 where an episode starts: no reward there, and h is 0", "window.first", "(B, T)", ("01", "04", "05", "06")),
    Entry(
        r"\text{terminal}_t",
        "1 where the world truly ended, never for a time limit",
        "window.terminal",
        "(B, T)",
        ("01", "04", "06", "14"),
    ),
    Entry("c_t", "continue: 1 - terminal", "1 - window.terminal", "(B, T)", ("01", "04")),
    Entry("i", "row numbers, for writing back", "window.index", "(B, T)", ("06", "11")),
    Entry("h_0", "the h a window starts from, as stored", "window.h", "(B, D)", ("05", "06")),
    Entry(r"\text{age}", "updates since each stored state was computed", "replay.age(update)", "(R,)", ("06",)),
    Entry("e_t", "what the encoder makes of the observation", "embed", "(B, T, E)", ("03", "05", "13")),
    Entry("h_t", "memory: what follows from the past", "beliefs.h", "(B, T, D)", ("00", "03", "05", "06", "07", "10", "11", "13")),
    Entry(
        "z_t",
        "what this row brings, or in a dream may bring: a sample",
        "beliefs.z",
        "(B, T, Z)",
        ("00", "03", "05", "06", "07", "10", "11", "13"),
    ),
    Entry("s_t", "state (h, z): what every head reads", "beliefs.features", "(B, T, F)", ("00", "03", "04", "05", "07", "13")),
    Entry(
        r"q(z \mid h_t, e_t)",
        "posterior: parameters of z, the observation seen",
        "beliefs.posterior",
        "(B, T, P)",
        ("03", "05", "11", "13"),
    ),
    Entry(r"p(z \mid h_t)", "prior: parameters of z, nothing seen", "prior", "(B, T, P)", ("03", "05", "07", "11", "13")),
    Entry(r"\mathrm{kl}_{\text{dyn}}", "KL[sg(q), p]: trains the prior", "kl_dyn", "(B, T)", ("03", "05", "11", "13")),
    Entry(r"\mathrm{kl}_{\text{rep}}", "KL[q, sg(p)]: trains the posterior", "kl_rep", "(B, T)", ("03", "05", "11")),
    Entry(r"\hat o_t", "reconstruction, in the model's units", "model.decoder(beliefs.features)", "(B, T, O)", ("05", "07", "13")),
    Entry(r"\mu_o", "centre of each observation entry", "model.centre", "(O,)", ("05", "13")),
    Entry(r"\sigma_o", "unit of each observation entry", "model.scale", "(O,)", ("05", "13")),
    Entry(r"\hat r_t", "mean of the predicted reward", "model.predict_reward(beliefs.features)[0]", "(B, T)", ("04", "05", "07")),
    Entry(r"\sigma_r", "its standard deviation: 1, unless it is learned", "model.predict_reward(beliefs.features)[1]", "(B, T)", ("04",)),
    Entry(
        r"\hat c_t",
        "probability that the episode goes on after this state",
        "torch.sigmoid(model.predict_continue(beliefs.features))",
        "(B, T)",
        ("04", "07"),
    ),
    Entry("L", "the whole loss", 'losses["total"]', "()", ("05",)),
    Entry(r"\kappa", "balance: the prior's share of the KL", "config.model.kl_balance", "()", ("03",)),
    Entry(r"\beta", "weight of the KL", "config.model.kl_scale", "()", ("05",)),
    Entry(
        r"s_0 \dots s_H",
        "states of a trajectory, imagined (from 07 on) or observations (02)",
        "batch.state",
        "(N, H + 1, F)",
        ("02", "07", "08", "09", "12"),
    ),
    Entry("u_t", "action before tanh: a = tanh(u)", "batch.pre_tanh", "(N, H, A)", ("02", "07", "08", "09")),
    Entry("r_{t+1}", "reward that arrives with the state reached", "batch.reward", "(N, H)", ("02", "07", "08", "09", "12")),
    Entry(
        "c_{t+1}",
        "probability that it goes on after that state; 0 or 1 for real steps",
        "batch.cont",
        "(N, H)",
        ("02", "07", "08", "09", "12"),
    ),
    Entry("w_t", "how probable it is that the step is reached at all", "alive_weight(batch.cont)", "(N, H)", ("02", "07", "08", "12")),
    Entry(r"\mu, \log\sigma", "mean and log standard deviation of u", "actor(batch.state[:, :-1])[0]", "(N, H, A)", ("02",)),
    Entry(r"\log\pi", "log-probability of an action", "actor.sample(batch.state[:, :-1]).log_prob", "(N, H)", ("02", "08")),
    Entry(
        "Q", "both fast critics: fitted, never read", "sac.q(batch.state[:, :-1], torch.tanh(batch.pre_tanh))", "(2, N, H)", ("02", "08")
    ),
    Entry(
        r"\bar Q",
        "both target critics: an average of Q over time",
        "sac.q_target(batch.state[:, :-1], torch.tanh(batch.pre_tanh))",
        "(2, N, H)",
        ("02", "08", "09", "10"),
    ),
    Entry("R_t", "return: what the critics are fitted to", "sac.returns(batch)", "(N, H)", ("02", "08", "09")),
    Entry("b(s_t)", "baseline: the soft value, E[Q] + alpha entropy", "soft_baseline(q, log_prob, alpha)", "(N, H)", ("08",)),
    Entry(r"\gamma", "discount per step", "config.sac.gamma", "()", ("01", "02", "08")),
    Entry(r"\alpha", "price of entropy, in the agent's unit of reward", "sac.alpha", "()", ("02", "08")),
    Entry(r"\rho", "share of the target critics kept at an update", "config.sac.polyak", "()", ("02", "08")),
    Entry(r"\lambda", "how far the target looks: 0 one step, 1 all H", "config.sac.lam", "()", ("08",)),
    Entry("v(s_t)", "value: the mean of the critic's bins", "paper.value(batch.state)", "(N, H + 1)", ("12",)),
    Entry(r"\bar v(s_t)", "what the slow critic says", "paper.v_slow.value(paper.v_slow(batch.state))", "(N, H + 1)", ("12",)),
    Entry(r"\mu, \sigma", "mean and standard deviation of an action", "paper.actor(batch.state[:, :-1])[0]", "(N, H, A)", ("12",)),
    Entry(
        r"\ln\pi",
        "log-probability of what was drawn",
        "paper.actor.log_prob_and_entropy(batch.state[:, :-1], batch.pre_tanh)[0]",
        "(N, H)",
        ("12",),
    ),
    Entry(
        r"\mathcal H",
        "the policy's entropy",
        "paper.actor.log_prob_and_entropy(batch.state[:, :-1], batch.pre_tanh)[1]",
        "(N, H)",
        ("12",),
    ),
    Entry("S", "range of returns, 1 at least", "paper.range.scale()", "()", ("12",)),
    Entry(r"\eta", "entropy scale: what a nat is worth", "config.dreamerv3.entropy_scale", "()", ("12",)),
    Entry(r"\lambda", "the mix of the returns", "config.dreamerv3.lam", "()", ("12",)),
)


def glossary(notebook: str) -> None:
    """Show the symbols a notebook uses, with the sizes its shapes are made of.

    Args:
        notebook: its number, as "03".
    """
    rows = [entry for entry in ENTRIES if notebook in entry.notebooks]
    table = ["| symbol | meaning | in the code | shape |", "|---|---|---|---|"]
    table += [f"| ${entry.symbol}$ | {entry.meaning} | `{entry.name}` | {entry.shape} |" for entry in rows]
    used = [size for size in SIZES if any(size in entry.shape.strip("()").replace(",", " ").split() for entry in rows)]
    sizes = "; ".join(f"{size} = {SIZES[size]}" for size in used)
    display(Markdown("\n".join(table) + (f"\n\n{sizes}." if sizes else "")))
