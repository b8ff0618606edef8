"""Ask the official DreamerV3 implementation for its numbers and write them to vectors.json, which the tests compare ours with.

python tests/paper/vectors.py PATH_TO_OFFICIAL_REPOSITORY

The repository is a clone of https://github.com/danijar/dreamerv3; the commit that is checked out there is
noted in the file. The Python that runs this needs jax (its CPU version is enough), ninjax, optax, einops,
chex, elements and numpy; it needs neither torch nor this project. The tests need nothing but the file.

Every number comes from the official functions themselves, fed small seeded inputs. Two things differ
from a run of the official agent:

* It computes in float32 (`nets.COMPUTE_DTYPE`), where the official default is bfloat16.
* The package `embodied` is not imported whole: replay, environments and worker processes stay out. Of
  `dreamerv3` and `embodied.jax` the official files are loaded as they are.

Where a head is asked, its linear layer is the identity, so that `x` below *is* what the layer would have
written. Numbers are float32, in the fewest digits that give them back (nine at most).
"""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import einops  # noqa: F401 (the official files need it; better missed here, by name)
import elements
import jax
import jax.numpy as jnp
import ninjax as nj
import numpy as np
import optax

FILE = Path(__file__).with_name("vectors.json")
SMALL_BINS = 11


def load(repository: Path) -> None:
    """Make `agent`, `rssm`, `heads`, `nets`, `opt`, `outs` and `utils` the official modules, in float32."""
    global agent, rssm, heads, nets, opt, outs, utils
    package = ModuleType("embodied")  # its own __init__ would import environments and worker processes
    package.__path__ = [str(repository / "embodied")]
    package.Agent = object  # a base class, of which nothing is used here
    sys.modules["embodied"] = package
    sys.path.insert(0, str(repository))
    from dreamerv3 import agent, rssm
    from embodied.jax import heads, nets, opt, outs, utils

    nets.COMPUTE_DTYPE = jnp.float32


# --- inputs --------------------------------------------------------------------------------------


def normal(seed: int) -> Callable[..., np.ndarray]:
    """A source of Normal numbers with three decimals: source(*shape, scale=1.0)."""
    rng = np.random.default_rng(seed)
    return lambda *shape, scale=1.0: thousandths(scale * rng.standard_normal(shape))


def f32(values) -> np.ndarray:
    return np.asarray(values, np.float32)


def thousandths(values) -> np.ndarray:
    return f32(np.round(np.asarray(values, np.float64), 3))


def wave_logits(rows: int, bins: int) -> np.ndarray:
    """logits[i, k] = 3 sin(0.37 i k + k) - 0.05 i |k - (bins - 1) / 2|, computed in double precision."""
    i, k = np.arange(rows)[:, None], np.arange(bins)[None]
    return f32(3 * np.sin(0.37 * i * k + k) - 0.05 * i * np.abs(k - (bins - 1) / 2))


def value_logits(source, *shape: int) -> np.ndarray:
    """Logits (*shape, 11) that fall off from the middle, so that values are of the size of rewards although the bins reach 4.9e8."""
    return thousandths(source(*shape, SMALL_BINS, scale=0.7) - 4.2 * np.abs(np.arange(SMALL_BINS) - SMALL_BINS // 2))


# --- the official heads --------------------------------------------------------------------------

SCALAR = elements.Space(np.float32, ())


def head(kind: str, space, x, **fields):
    """What the official Head makes of x (..., P), all that its linear layers write side by side."""
    names = ["mean", "stddev"] if kind == "bounded_normal" else ["logits"]
    state = {}
    for name, kernel in zip(names, np.split(np.eye(x.shape[-1], dtype=np.float32), len(names), 1), strict=True):
        state |= {f"head/{name}/kernel": kernel, f"head/{name}/bias": np.zeros(kernel.shape[1], np.float32)}
    return nj.pure(heads.Head(space, kind, name="head", **fields))(state, jnp.asarray(x))[1]


def two_hot(logits):
    return head("symexp_twohot", SCALAR, logits, bins=logits.shape[-1])


# --- one function for each entry -----------------------------------------------------------------


def symlog() -> dict:
    x = f32([0, 1e-6, -1e-6, 1e-3, -0.1, 0.5, -1, 2.5, -10, 100, -1e3, 1e6, -1e6])
    y = f32([0, 1e-6, -1e-6, 1e-3, -0.1, 0.5, -1, 2.5, -5, 10, -13.8155, 20, -20])
    return {"x": x, "symlog": nets.symlog(x), "y": y, "symexp": nets.symexp(y)}


def twohot_large() -> dict:
    logits = wave_logits(8, 255)
    output = two_hot(logits)
    bins = np.asarray(output.bins)
    targets = f32([0, 1, -0.3, 250.5, -7e4, bins[140], 1e9, -1e9])
    keep = np.array([*range(0, 255, 16), 126, 127, 128, 253, 254])
    return {
        "logits": wave_logits.__doc__,
        "rows": 8,
        "index": keep,
        "bins": bins[keep],
        "mean": output.pred(),
        "target": targets,
        "loss": output.loss(targets),
    }


def twohot_small() -> dict:
    logits = normal(1)(9, SMALL_BINS, scale=2.0)
    bins = np.asarray(two_hot(logits).bins)
    targets = f32([0, 1, -0.3, 40, -2000, bins[3], bins[-1], 1e9, -1e9])
    output = two_hot(logits)
    gradient = jax.grad(lambda x: two_hot(x).loss(targets).sum())(logits)
    return {"bins": bins, "logits": logits, "mean": output.pred(), "target": targets, "loss": output.loss(targets), "gradient": gradient}


def unimix() -> dict:
    source = normal(2)
    logits, other = source(4, 3, 4, scale=2.0), source(4, 3, 4, scale=2.0)
    logits[3, 0] = [30, 0, 0, -30]
    index, weights = np.array([[0, 3, 1], [2, 2, 0], [1, 0, 3], [2, 1, 2]]), source(4, 3, 4)
    dist = rssm.RSSM({}, unimix=0.01, name="dyn")._dist

    def sample(logits):
        return dist(logits).output._onehot_with_grad(index)

    return {
        "unimix": 0.01,
        "logits": logits,
        "other": other,
        "probs": jnp.exp(dist(logits).output.dist.logits),
        "entropy": dist(logits).entropy(),
        "kl": dist(logits).kl(dist(other)),
        "index": index,
        "sample": sample(logits),
        "weights": weights,
        "sample_gradient": jax.grad(lambda x: (weights * sample(x)).sum())(logits),
    }


def kl_terms() -> dict:
    source = normal(3)
    size = np.array([0.05, 0.2, 0.3, 0.8, 1.5, 3])[:, None, None]
    posterior, prior = (thousandths(size * source(6, 3, 4)) for _ in range(2))

    def losses(posterior, prior):
        model = rssm.RSSM({}, unimix=0.01, free_nats=1.0, name="dyn")
        model.observe = lambda *_: (None, None, {"deter": prior, "logit": posterior})
        model._prior = lambda logits: logits
        return nj.pure(model.loss)({}, None, None, None, None, False)[1][2]

    def total(posterior, prior):
        terms = losses(posterior, prior)
        return 1.0 * terms["dyn"].mean() + 0.1 * terms["rep"].mean()

    dist = rssm.RSSM({}, unimix=0.01, name="dyn")._dist
    to_posterior, to_prior = jax.grad(total, (0, 1))(posterior, prior)
    return {
        "unimix": 0.01,
        "free_nats": 1.0,
        "dyn_scale": 1.0,
        "rep_scale": 0.1,
        "posterior": posterior,
        "prior": prior,
        "kl": dist(posterior).kl(dist(prior)),
        "dyn": losses(posterior, prior)["dyn"],
        "rep": losses(posterior, prior)["rep"],
        "posterior_gradient": to_posterior,
        "prior_gradient": to_prior,
    }


def rms_norm() -> dict:
    source = normal(4)
    x, scale, weights = source(4, 6), thousandths(1 + source(6, scale=0.5)), source(4, 6)
    x[2] = source(6, scale=0.01)  # here eps counts
    x[3] = 0

    def norm(x):
        return nj.pure(nets.Norm("rms", name="norm"))({"norm/scale": scale}, x)[1]

    gradient = jax.grad(lambda x: (weights * norm(x)).sum())(x)
    return {"eps": 1e-4, "scale": scale, "x": x, "out": norm(x), "weights": weights, "gradient": gradient}


def layer() -> dict:
    source = normal(5)
    x, weights = source(3, 5), source(3, 4)
    parameters = {"linear0/kernel": source(5, 4), "linear0/bias": source(4), "norm0/scale": thousandths(1 + source(4, scale=0.5))}
    state = {f"mlp/{name}": value for name, value in parameters.items()}

    def apply(x):
        return nj.pure(nets.MLP(1, 4, act="silu", norm="rms", name="mlp"))(state, x)[1]

    gradient = jax.grad(lambda x: (weights * apply(x)).sum())(x)
    return {"parameters": parameters, "x": x, "out": apply(x), "weights": weights, "gradient": gradient}


def block_gru(deter: int, units: int, blocks: int, layers: int) -> dict:
    source = normal(6 + layers)
    stoch, classes, actions, rows = 2, 4, 3, 3
    h, weights, action = source(rows, deter), source(rows, deter), source(rows, actions, scale=0.5)
    action[0] = [2.5, -0.4, -1.75]  # beyond 1 in size
    z = np.eye(classes, dtype=np.float32)[[[0, 3], [1, 1], [2, 0]]]
    fields = dict(deter=deter, hidden=units, stoch=stoch, classes=classes, act="silu", norm="rms", blocks=blocks, dynlayers=layers)

    def core(h, z, action):
        return rssm.RSSM({}, winit="trunc_normal_in", **fields, name="dyn")._core(h, z, jnp.asarray(action))

    state = nj.init(core)({}, h, z, action, seed=0)
    for name, value in state.items():  # at first all biases are 0 and all scales 1, which would hide mistakes
        scale = 0.4 if value.ndim == 1 else value.shape[-2] ** -0.5
        state[name] = thousandths(source(*value.shape, scale=scale) + name.endswith("/scale"))

    def out(h):
        return nj.pure(core)(state, h, z, action)[1]

    return {
        "deter": deter,
        "units": units,
        "stoch": stoch * classes,
        "action_size": actions,
        "blocks": blocks,
        "layers": layers,
        "parameters": {name.removeprefix("dyn/"): state[name] for name in sorted(state)},
        "h": h,
        "z": z.reshape(rows, -1),
        "action": action,
        "out": out(h),
        "weights": weights,
        "h_gradient": jax.grad(lambda h: (weights * out(h)).sum())(h),
    }


def agc() -> dict:
    source = normal(9)
    params = {"clipped": source(2, 3), "kept": source(3), "tiny": f32([1e-4, -2e-4, 0, 3e-4]), "still": source(2)}
    grads = {"clipped": source(2, 3, scale=2.0), "kept": source(3, scale=0.02), "tiny": source(4, scale=0.01), "still": f32([0, 0])}
    clipped, _ = opt.clip_by_agc(0.3, 1e-3).update(grads, (), params)
    return {"clip": 0.3, "floor": 1e-3, "params": params, "grads": grads, "clipped": clipped, "global_norm": optax.global_norm(grads)}


def updates(chain, params: dict, grads: dict, stops: list[int]) -> dict:
    """The parameters after the given numbers of steps; grads[name] (T, ...)."""
    state, seen = chain.init(params), {}
    for step in range(max(stops)):
        change, state = chain.update({name: grad[step] for name, grad in grads.items()}, state, params)
        params = optax.apply_updates(params, change)
        if step + 1 in stops:
            seen[str(step + 1)] = params
    return seen


def laprop() -> dict:
    source = normal(10)
    params = {"kernel": source(2, 3), "bias": source(3)}
    grads = {"kernel": source(20, 2, 3), "bias": f32(np.round(1e-3 * source(20, 3), 6))}
    grads["kernel"][:, 0, 0] = 0  # never a gradient
    grads["kernel"][:5, 0, 1] = 0  # a late one
    grads["bias"][7, 0] = 2.0  # an outlier
    chain = optax.chain(opt.scale_by_rms(0.999, 1e-20), opt.scale_by_momentum(0.9, False), optax.scale(-0.01))
    settings = {"lr": 0.01, "beta2": 0.999, "momentum": 0.9, "eps": 1e-20}
    return settings | {"params": params, "grads": grads, "after": updates(chain, params, grads, [1, 2, 5, 20])}


def optimiser() -> dict:
    source = normal(11)
    params = {"kernel": source(2, 3), "bias": np.zeros(3, np.float32)}
    grads = {"kernel": source(10, 2, 3), "bias": source(10, 3, scale=0.1)}
    chain = agent.Agent._make_opt(None, lr=0.01, agc=0.3, eps=1e-20, beta1=0.9, beta2=0.999, momentum=True, warmup=5)
    settings = {"lr": 0.01, "warmup": 5, "clip": 0.3, "floor": 1e-3, "beta2": 0.999, "momentum": 0.9, "eps": 1e-20}
    return settings | {"params": params, "grads": grads, "after": updates(chain, params, grads, [1, 2, 6, 10])}


def returns() -> dict:
    """As imag_loss and as repl_loss call it. `val` is asked for and not read: every step bootstraps from `boot`."""
    source = normal(12)
    con = f32([[0.997, 0.9, 0.5, 0.99, 0.8], [0.2, 0.95, 0.997, 0.997, 0.01]])
    imagined = {"last": 0 * con, "term": 1 - con, "rew": source(2, 5), "val": source(2, 5, scale=3.0), "disc": 1.0, "lam": 0.95}
    imagined["boot"] = imagined["val"]
    last = np.array([[0, 0, 1, 0, 0], [0, 1, 0, 0, 1]], bool)
    term = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)
    replayed = {"last": last, "term": term, "rew": source(2, 5), "val": source(2, 5, scale=3.0), "boot": source(2, 5, scale=3.0)}
    replayed |= {"disc": 1 - 1 / 333, "lam": 0.95}
    found = {}
    for name, case in {"imagined": imagined, "replayed": replayed}.items():
        found[name] = case | {"ret": agent.lambda_return(*(case[key] for key in ("last", "term", "rew", "val", "boot", "disc", "lam")))}
    return found


RANGE = dict(rate=0.01, limit=1.0, perclo=5.0, perchi=95.0, debias=False)  # retnorm in the official configs.yaml


def return_range() -> dict:
    source = normal(13)
    given = [source(3, 4, scale=scale) for scale in (0.1, 1.0, 30.0, 1000.0, 5.0)]
    norm = utils.Normalize("perc", **RANGE, name="retnorm")
    state = nj.init(norm.stats)({})
    seen = {"low": [], "high": [], "offset": [], "scale": []}
    for x in given:
        state, (offset, scale) = nj.pure(norm)(state, x, True)
        for name, value in zip(seen, (state["retnorm/lo/value"], state["retnorm/hi/value"], offset, scale), strict=True):
            seen[name].append(value)
    return {**RANGE, "returns": f32(given), **{name: f32(values) for name, values in seen.items()}}


IMAGINED = dict(contdisc=True, slowtar=False, horizon=333, lam=0.95, actent=3e-4, slowreg=1.0)  # official configs.yaml


def imagined() -> dict:
    source = normal(14)
    starts, rows, size, classes = 3, 5, 2, 3
    cont = f32([[0.997, 0.99, 0.9, 0.95, 0.997], [0.6, 0.997, 0.997, 0.3, 0.9], [0.997, 0.01, 0.9, 0.98, 0.5]])
    reward = source(starts, rows)
    logits, slow_logits = value_logits(source, starts, rows), value_logits(source, starts, rows)
    before = {"retnorm/lo/value": f32(-1.5), "retnorm/hi/value": f32(2.5)}

    retnorm = utils.Normalize("perc", **RANGE, name="retnorm")

    def losses(policy, action, logits):
        value, slow = two_hot(logits), two_hot(slow_logits)
        plain = [utils.Normalize("none", rate=0.01, limit=1e-8, name=name) for name in ("valnorm", "advnorm")]
        arguments = ({"action": action}, reward, cont, {"action": policy}, value, slow, retnorm, *plain)
        state, (found, out, _) = nj.pure(lambda: agent.imag_loss(*arguments, update=True, **IMAGINED))(before)
        return found, out["ret"], state

    space = elements.Space(np.float32, (size,), -1, 1)

    def gauss(raw):
        return head("bounded_normal", space, raw, minstd=0.1, maxstd=1.0, unimix=0.01, outscale=0.01)

    raw = source(starts, rows, 2 * size)
    action = thousandths(gauss(raw).pred() + 0.7 * source(starts, rows, size))  # some beyond 1 in size: the sample is not squashed
    found, ret, state = losses(gauss(raw), action, logits)
    raw_gradient = jax.grad(lambda raw: losses(gauss(raw), action, logits)[0]["policy"].mean())(raw)

    names = elements.Space(np.int32, (), 0, classes)

    def category(logits):
        return head("categorical", names, logits, minstd=0.1, maxstd=1.0, unimix=0.01, outscale=0.01)

    choices, chosen = source(starts, rows, classes), np.arange(starts * rows).reshape(starts, rows) * 2 % classes
    discrete = losses(category(choices), chosen, logits)[0]
    assert (discrete["value"] == found["value"]).all()  # not stored twice: it does not depend on the kind of policy
    return {
        **IMAGINED,
        "bins": two_hot(logits).bins,
        "value_logits": logits,
        "slow_logits": slow_logits,
        "reward": reward,
        "cont": cont,
        "low_before": before["retnorm/lo/value"],
        "high_before": before["retnorm/hi/value"],
        "value": two_hot(logits).pred(),
        "slow_value": two_hot(slow_logits).pred(),
        "returns": ret,
        "low_after": state["retnorm/lo/value"],
        "high_after": state["retnorm/hi/value"],
        "scale": nj.pure(retnorm.stats)(state)[1][1],
        "value_loss": found["value"],
        "value_gradient": jax.grad(lambda logits: losses(gauss(raw), action, logits)[0]["value"].mean())(logits),
        "continuous": {
            "mean_raw": raw[..., :size],
            "std_raw": raw[..., size:],
            "mean": gauss(raw).output.mean,
            "std": gauss(raw).output.stddev,
            "action": action,
            "log_prob": gauss(raw).logp(action),
            "entropy": gauss(raw).entropy(),
            "policy_loss": found["policy"],
            "mean_gradient": raw_gradient[..., :size],
            "std_gradient": raw_gradient[..., size:],
        },
        "categorical": {
            "logits": choices,
            "action": chosen,
            "log_prob": category(choices).logp(chosen),
            "entropy": category(choices).entropy(),
            "policy_loss": discrete["policy"],
            "gradient": jax.grad(lambda x: losses(category(x), chosen, logits)[0]["policy"].mean())(choices),
        },
    }


REPLAYED = dict(slowtar=False, horizon=333, lam=0.95, slowreg=1.0)  # official configs.yaml


def replayed() -> dict:
    source = normal(15)
    reward, boot = source(2, 5), source(2, 5, scale=3.0)
    logits, slow_logits = value_logits(source, 2, 5), value_logits(source, 2, 5)
    last = np.array([[0, 0, 1, 0, 0], [0, 1, 0, 0, 0]], bool)
    terminal = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)

    def losses(logits):
        plain = utils.Normalize("none", rate=0.01, limit=1e-8, name="valnorm")
        arguments = (last, terminal, reward, boot, two_hot(logits), two_hot(slow_logits), plain)
        return nj.pure(lambda: agent.repl_loss(*arguments, update=True, **REPLAYED))({})[1]

    found, out, _ = losses(logits)
    return {
        **REPLAYED,
        "bins": two_hot(logits).bins,
        "value_logits": logits,
        "slow_logits": slow_logits,
        "slow_value": two_hot(slow_logits).pred(),
        "reward": reward,
        "last": last,
        "terminal": terminal,
        "boot": boot,
        "returns": out["ret"],
        "loss": found["repval"],
        "gradient": jax.grad(lambda logits: losses(logits)[0]["repval"].mean())(logits),
    }


def start() -> dict:
    """Where the official agent starts: the standard deviation of a policy that writes 0, and the value of logits that are 0."""
    gauss = head("bounded_normal", elements.Space(np.float32, (1,), -1, 1), f32([0, 0]), minstd=0.1, maxstd=1.0)
    return {"std": gauss.output.stddev[0], "mean_of_zero_logits": two_hot(np.zeros(255, np.float32)).pred()}


# --- the file ------------------------------------------------------------------------------------


def plain(value):
    """Arrays as nested lists, float32 in the fewest digits that give them back."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    value = np.asarray(value)
    if value.ndim:
        return [plain(part) for part in value]
    if value.dtype in (np.float32, np.float64):
        assert np.isfinite(value), value
        return float(str(np.float32(value))) + 0.0  # + 0.0: no -0.0
    return value.item()


def text(value, indent: int = 0) -> str:
    """JSON with one entry a line, each array in one line."""
    if not isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    inner = ",\n".join(f'{" " * (indent + 1)}"{name}": {text(part, indent + 1)}' for name, part in value.items())
    return f"{{\n{inner}\n{' ' * indent}}}"


def main(repository: Path) -> None:
    load(repository)
    commit = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout.strip()
    versions = {name: importlib.metadata.version(name) for name in ("jax", "ninjax", "optax", "numpy")}
    source = {"repository": "danijar/dreamerv3", "commit": commit, "dtype": "float32", **versions}
    entries = {
        "symlog": symlog(),
        "twohot_large": twohot_large(),
        "twohot_small": twohot_small(),
        "unimix": unimix(),
        "kl": kl_terms(),
        "rms_norm": rms_norm(),
        "layer": layer(),
        "block_gru": block_gru(deter=16, units=6, blocks=4, layers=1),
        "block_gru_two_layers": block_gru(deter=8, units=4, blocks=4, layers=2),
        "agc": agc(),
        "laprop": laprop(),
        "optimiser": optimiser(),
        "returns": returns(),
        "return_range": return_range(),
        "imagined": imagined(),
        "replayed": replayed(),
        "start": start(),
    }
    FILE.write_text(text(plain({"source": source} | entries)) + "\n", encoding="utf-8")
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB, {len(entries)} entries from commit {commit}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "dreamerv3" / "agent.py").is_file():
        sys.exit(f"{sys.argv[0]}: name the folder of the official repository, as in: python {sys.argv[0]} PATH_TO_OFFICIAL_REPOSITORY")
    main(Path(sys.argv[1]).resolve())
