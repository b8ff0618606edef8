"""Every setting of the agent and of its training, in one tree of dataclasses.

The defaults are v1. A sentence under each field says what it does; the command line shows the
same sentences (`python -m dreamer_core.train --help`).
"""

import dataclasses
import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dreamer_core.errors import ConfigError

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
Shift = Annotated[float, Field(ge=-1e6, le=1e6)]

STRICT = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


@dataclass(config=STRICT)
class WrapperConfig:
    """What is done to the environment before the agent sees it."""

    hide: tuple[Whole, ...] = ()
    """Numbers of the observation entries to hide; 2 hides Pendulum's velocity, so that memory matters."""
    action_repeat: Count = 1
    """How many environment steps each chosen action lasts."""
    observation_scale: Factor = 1.0
    """Observations are multiplied by this: the same world in other units."""
    reward_scale: Factor = 1.0
    """Rewards are multiplied by this, likewise; evaluation, real and imagined, is reported in the world's own units all the same."""
    reward_offset: Shift = 0.0
    """Added to the reward of each chosen action after that; not reported either."""


@dataclass(config=STRICT)
class WorldModelConfig:
    """Sizes, switches and loss weights of the world model."""

    deter: Count = 64
    """Size D of the recurrent state h."""
    latent: Literal["gaussian", "categorical"] = "gaussian"
    """The kind of z: independent Normals, or groups of categoricals with straight-through gradients."""
    stoch: Count = 24
    """Number of Normals in z, or of categorical groups S."""
    classes: Count = 8
    """Classes K in each group of a categorical z; a Gaussian z ignores it."""
    recurrence: Literal["gru", "block_gru"] = "gru"
    """How h follows: one embedding layer and one GRU cell, or the paper's block-diagonal GRU."""
    blocks: Count = 8
    """Blocks of the block GRU; they share D equally."""
    recurrence_layers: Count = 1
    """Block-diagonal layers before the gates of the block GRU."""
    min_std: Positive = 0.1
    """Smallest standard deviation of a Gaussian z."""
    unimix: Fraction = 0.01
    """Share of the uniform distribution mixed into a categorical z."""
    units: Count = 128
    """Width of every hidden layer."""
    encoder_layers: Count = 1
    """Layers of the encoder."""
    decoder_layers: Count = 2
    """Hidden layers of the decoder."""
    channels: Count = 16
    """Channels of the first layer that reads a picture, twice as many in the second; the decoder's last layer has as many."""
    head_layers: Count = 1
    """Hidden layers of the prior, the reward head and the continue head."""
    norm: Literal["none", "rms"] = "none"
    """What stands before each SiLU of the world model: nothing, or the paper's RMS norm."""
    standardize: bool = True
    """Count observations in standard deviations of the random steps, enlarged where they prove too small; off keeps raw units. Pictures
    are always counted in 255ths, from -0.5 to 0.5."""
    symlog: bool = False
    """Compress observations by symlog, at the encoder's input and in the decoder's target (the paper); pictures never are."""
    detach_z: bool = True
    """Cut z's gradient where it enters the next step (v1), so that memory is trained through h alone."""
    batched_unroll: bool = True
    """Use the faster unroll with equal numbers and gradients where z is detached; off runs the plain loop."""
    observation_scale: NonNegative = 1.0
    """Weight of half the summed squared error of the observation; 2 is the official code's, which does not halve it."""
    kl: Literal["balanced", "paper"] = "balanced"
    """One KL whose gradient is shared between prior and posterior, or the paper's two terms with a weight each."""
    kl_scale: NonNegative = 0.01
    """Weight of the balanced KL against half the summed squared error of the observation."""
    kl_balance: Fraction = 0.8
    """Share of the KL's gradient that trains the prior; the rest trains the posterior."""
    free_nats: NonNegative = 0.05
    """KL in nats, per row, below which the balanced KL is not pushed further down."""
    kl_dyn: NonNegative = 1.0
    """Weight of the paper's term that trains the prior (in the paper of 2023: 0.5)."""
    kl_rep: NonNegative = 0.1
    """Weight of the paper's term that trains the posterior."""
    kl_free: NonNegative = 1.0
    """KL in nats, per row, below which neither of the paper's terms pushes."""
    reward_scale: NonNegative = 10.0
    """Weight of the reward's negative log-likelihood against half the summed squared error of the observation."""
    reward_head: Literal["gaussian", "twohot"] = "gaussian"
    """What predicts rewards: a Normal, or the paper's distribution over 255 symexp bins that starts at zero."""
    reward_std: NonNegative = 1.0
    """Fixed standard deviation of the reward head; 0 learns it."""
    reward_min_std: Positive = 0.05
    """Smallest standard deviation of the reward head when it is learned."""
    overshoot: Whole = 5
    """Steps K of the noiseless dreams inside each window whose observations and rewards are trained too; 0 leaves them out."""
    overshoot_scale: NonNegative = 0.3
    """Weight of those dreams."""
    discount_horizon: Whole = 0
    """Fold a discount of 1 - 1/this into what the continue head learns (the paper: 333); SAC discounts by `sac.gamma` besides."""
    lr: Positive = 2e-3
    """Learning rate of the world model."""
    clip_norm: Positive = 100.0
    """Largest norm of the gradient; longer ones are scaled down to it."""


@dataclass(config=STRICT)
class ReplayConfig:
    """The latent replay buffer."""

    capacity: Count = 100_000
    """Rows kept; older ones are overwritten."""
    layout: Literal["free", "chunks"] = "free"
    """Whether windows start anywhere, or on a fixed grid whose first rows are never refreshed."""
    start: Literal["stored", "zero", "mixed"] = "stored"
    """What a window starts from: the stored h of its first row, zero, or either with equal chance."""
    write_back: bool = True
    """Store the refreshed states of a window after training on it."""
    write_back_zero: bool = True
    """Store those of windows that started from zero too, whose first rows are not exact; off leaves them out."""
    batch: Count = 16
    """Windows B in a batch for the world model."""
    length: Annotated[int, Field(ge=2)] = 16
    """Rows T in a window for the world model."""
    burn_in: Whole = 0
    """Rows before each window that only warm up h and are not trained on."""
    online: bool = False
    """Serve every fresh chunk of `length` rows once, before windows drawn from the buffer fill the batch (the paper's online queue)."""


@dataclass(config=STRICT)
class ImaginationConfig:
    """Where dreams start and how long they last."""

    starts: Count = 192
    """Number N of imagined trajectories in a batch."""
    start_rows: Count = 12
    """Rows filtered before each start, in windows drawn for the agent alone."""
    last: Count = 1
    """From how many of the last filtered rows of each window a dream starts, so that there are `starts` times this many."""
    horizon: Count = 5
    """Imagined steps H."""


@dataclass(config=STRICT)
class SACConfig:
    """Soft actor-critic, on imagined or real transitions."""

    units: Count = 64
    """Width of the hidden layers of actor and critics."""
    layers: Count = 2
    """Hidden layers of actor and critics."""
    lam: Fraction = 0.0
    """How far the critic's target looks: 0 is one step (SAC), 1 the whole imagined return, between is a lambda mix."""
    soft: bool = True
    """Count the policy's entropy in the returns (once per step); off leaves it in the actor's own objective alone."""
    actor_grad: Literal["pathwise", "score"] = "pathwise"
    """What the actor follows: the gradient through the target Q, or the score function with an advantage."""
    gamma: Fraction = 0.97
    """Discount per step."""
    alpha: NonNegative = 0.02
    """Weight of the entropy at the start."""
    alpha_final: NonNegative = 0.02
    """Weight of the entropy at the end of its schedule."""
    alpha_updates: Whole = 0
    """Updates over which the entropy weight moves linearly to its final value; 0 keeps it constant."""
    reward_scale: Positive = 0.4
    """Rewards are multiplied by this before anything learns from them; with a measured unit, one-step returns are then spread by it."""
    reward_unit: Literal["fixed", "returns"] = "returns"
    """What counts as a reward of 1 before that: 1, or the spread of one-step returns in the buffer; then predictions start optimistic."""
    polyak: Fraction = 0.98
    """How much of the target Q is kept at each update."""
    actor_lr: Positive = 1e-3
    """Learning rate of the actor's Adam."""
    critic_lr: Positive = 2e-3
    """Learning rate of the critics' Adam."""
    clip_norm: Positive = 100.0
    """Largest norm of the actor's and of the critics' gradient."""
    batch: Whole = 256
    """Transitions per update; 0 uses every imagined trajectory in one update."""
    baseline_samples: Count = 4
    """Actions averaged in the baseline E[Q] + alpha H of the score function."""
    normalize_advantage: bool = False
    """Divide advantages by a running standard deviation (a departure, used by the `advantage` preset)."""
    actor_out_scale: NonNegative = 1.0
    """Factor on the initial weights of the actor's last layer (a departure when not 1)."""
    mean_limit: NonNegative = 0.0
    """Soft bound on the mean before tanh; 0 leaves it free (a departure when not 0)."""
    log_std_min: float = -20.0
    """Smallest log standard deviation before tanh."""
    log_std_max: float = 2.0
    """Largest log standard deviation before tanh."""
    zero_init: bool = False
    """Start both critics at 0 (the paper): their output layers hold zeros."""
    return_range: bool = False
    """Count the entropy in units of the returns' range, as the paper's advantage is, so that `alpha` means the same in every world."""


@dataclass(config=STRICT)
class DreamerV3Config:
    """DreamerV3's own actor-critic, with `actor_critic="dreamerv3"`; official values, but for sizes, `lr` and `clip_norm`."""

    actor: Literal["auto", "normal", "categorical"] = "auto"
    """What the policy is: a bounded Normal, or a distribution over discrete actions; auto takes what the environment has."""
    units: Count = 64
    """Width of the hidden layers of actor and critic."""
    layers: Count = 2
    """Hidden layers of actor and critic (the paper: 3)."""
    lam: Fraction = 0.95
    """The lambda mix of the returns."""
    horizon: Count = 333
    """The discount is 1 - 1/this; where the continue head has learned it (`model.discount_horizon`), it is not counted again."""
    entropy_scale: NonNegative = 3e-4
    """Weight of the policy's entropy against the advantage."""
    slow_rate: Fraction = 0.02
    """How far the slow critic moves towards the critic at each update."""
    slow_scale: NonNegative = 1.0
    """Weight of the critic's second target, the slow critic's mean."""
    replay_scale: NonNegative = 0.3
    """Weight of the critic's loss on replayed rewards."""
    range_rate: Fraction = 0.01
    """How far the two percentiles of the returns move at each update."""
    range_floor: Positive = 1.0
    """Ranges smaller than this count as this, so that the noise of small returns is not blown up."""
    std_min: Positive = 0.1
    """Smallest standard deviation of a continuous action."""
    std_max: Positive = 1.0
    """Largest standard deviation of a continuous action."""
    out_scale: NonNegative = 0.01
    """Factor on the initial weights of the actor's last layer."""
    lr: Positive = 1e-3
    """Learning rate of actor and critic (the paper has one of 4e-5 for everything)."""
    clip_norm: Positive = 100.0
    """Largest norm of the actor's and of the critic's gradient."""


@dataclass(config=STRICT)
class OptimizerConfig:
    """How gradients become steps, of the world model and of the actor-critic alike."""

    kind: Literal["adam", "laprop"] = "adam"
    """Adam, or the paper's LaProp, which divides by the gradient's size before it averages."""
    clip: Literal["norm", "agc"] = "norm"
    """Clip the norm of the whole gradient (`clip_norm`), or the paper's: each tensor's, by the norm of its weights (`agc`)."""
    agc: Positive = 0.3
    """Largest norm of a tensor's gradient as a share of its weights' norm, where clip is agc."""
    warmup: Whole = 0
    """Updates of each part over which its learning rate rises from 0 (official code: 1000); 0 starts with all of it."""


@dataclass(config=STRICT)
class ScheduleConfig:
    """When learning happens, and how much of it."""

    prefill: Count = 400
    """Environment steps with random actions before any learning."""
    hold: Count = 12
    """Average number of steps a random action is held; longer holds reach further states."""
    prefill_episode: Count = 50
    """Random episodes are cut off after this many steps (as by a time limit), so that more start states are seen."""
    pretrain_model: Whole = 200
    """World-model updates right after the random steps."""
    pretrain_both: Whole = 200
    """Updates of world model and agent after those."""
    every: Count = 20
    """Environment steps between two rounds of learning."""
    model_updates: Whole = 16
    """World-model updates per round."""
    agent_updates: Whole = 16
    """Imaginations per round, each followed by `sac_updates` updates of actor and critics."""
    sac_updates: Count = 4
    """Updates of actor and critics per imagination."""
    halving: Whole = 7500
    """Gradient steps after which every learning rate has halved, falling as 1 / (1 + steps / this); 0 keeps rates constant."""
    anneal: bool = False
    """Let each part's rates fall to 0 instead, along half a cosine over its updates in `env_steps` (more steps raise them again)."""
    real_updates: Count = 20
    """With `--agent sac`: updates on real transitions per round."""


@dataclass(config=STRICT)
class EvaluationConfig:
    """How the agent is measured: deterministic actions, fixed reset seeds, not counted in wall time."""

    every: Count = 200
    """Environment steps between two evaluations."""
    episodes: Count = 50
    """Episodes per evaluation, each in a copy of the environment: a run makes 1 + this many, or plays by turns where fewer can exist."""
    seed: Seed = 20_000
    """Reset seed of the first evaluation episode; the others follow it."""


@dataclass(config=STRICT)
class Config:
    """Train v1, a deliberately simple Dreamer, or the same SAC on real transitions."""

    env: str = "Pendulum-v1"
    """A gymnasium environment with a flat Box observation or small pictures, and a bounded Box action; the actor-critic dreamerv3 takes a
    Discrete one too."""
    agent: Literal["dreamer", "sac"] = "dreamer"
    """Learn in imagination (dreamer), or run the same SAC class on real transitions (sac)."""
    actor_critic: Literal["sac", "dreamerv3"] = "sac"
    """Who acts and judges in imagination: v1's SAC, or DreamerV3's own actor-critic."""
    preset: Literal["dropin", "advantage", "dreamerv3", "pixels"] = "dropin"
    """Two readings of v1 (one-step targets, pathwise actor; H-step returns, score-function actor), all of the paper's pieces, or v1 for
    worlds that are seen as pictures."""
    env_steps: Count = 3000
    """Environment steps to train for."""
    seed: Seed = 0
    """Seed of every random choice; same seed, same machine, same numbers."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where tensors live; auto takes the CPU, which is fastest at these sizes, unless the model is large."""
    threads: Count = 1
    """CPU threads for torch; more than one does not help at the default sizes. Another number gives other numbers in the last digits."""
    checkpoint_every: Count = 500
    """Environment steps between two checkpoints."""
    keep_agents: Whole = 0
    """Environment steps between two agents with a world model that are kept, small, in the run's folder `agents`; 0 keeps none."""
    wrappers: WrapperConfig = dataclasses.field(default_factory=WrapperConfig)
    model: WorldModelConfig = dataclasses.field(default_factory=WorldModelConfig)
    replay: ReplayConfig = dataclasses.field(default_factory=ReplayConfig)
    imagination: ImaginationConfig = dataclasses.field(default_factory=ImaginationConfig)
    sac: SACConfig = dataclasses.field(default_factory=SACConfig)
    dreamerv3: DreamerV3Config = dataclasses.field(default_factory=DreamerV3Config)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)


# What each preset sets differently from the defaults. `dreamerv3` is the paper's agent at this course's sizes; it differs from the
# official one (github.com/danijar/dreamerv3, commit e3f0224) in these points, and in no other that is known:
#
#   sizes                  h 128 in 8 blocks, z 8 x 8, layers of 64; the smallest official size has h 512, z 32 x 4, layers of 64
#   layers                 actor, critic, encoder and decoder have 2 (official: 3), prior 1 (2); posterior and heads have 1 in both
#   windows                16 of 16 rows, and 16 others of 16 rows for the actor-critic; official: 16 of 64 rows for both
#   replay                 the carry of a window's first row is its own stored h, with no context row before it; the online queue's
#                          first chunk starts at row 0, officially at row 1; 100,000 rows are kept, officially 5,000,000
#   one loss               world model and actor-critic have an optimiser each, and no gradient passes between them; officially the
#                          critic's loss on replayed rewards trains the representation as well (`repval_grad`)
#   learning rates         0.001 with 100 updates of warm-up; official: 0.00004 with 1,000
#   initial weights        torch's uniform ones; official: truncated normal, biases 0, and a block-diagonal layer's made as if it were full
#   dreams from an end     count nothing, since the buffer knows it was one; officially the predicted end weighs them
#   an episode's start     h is 0 there; officially f(0, 0, 0). The first row's reward, 0, is not trained on; officially it is
#   the newest rows        windows that would reach past them are moved back, so they come up more often; officially all come up alike
#   evaluation             acts by the most likely z and action; official: by drawn ones, as in training
#   schedule               the course's: random steps first, then model and agent in turn, 16 times for each 20 steps
#   numbers                float32; official: bfloat16
PRESETS: dict[str, dict[str, Any]] = {
    "dropin": {},
    "advantage": {
        "imagination": dict(starts=256, horizon=4),
        "sac": dict(
            lam=1.0,
            actor_grad="score",
            batch=0,
            polyak=0.95,
            actor_lr=3e-3,
            critic_lr=3e-3,
            alpha=0.05,
            alpha_final=0.01,
            alpha_updates=1200,
            normalize_advantage=True,
            actor_out_scale=0.01,
            mean_limit=3.0,
            log_std_min=-2.0,
        ),
        "schedule": dict(agent_updates=32, sac_updates=1),
    },
    "dreamerv3": {
        "actor_critic": "dreamerv3",
        "model": dict(
            deter=128,
            latent="categorical",
            stoch=8,
            classes=8,
            recurrence="block_gru",
            units=64,
            encoder_layers=2,
            norm="rms",
            standardize=False,
            symlog=True,
            detach_z=False,
            observation_scale=2.0,
            kl="paper",
            reward_head="twohot",
            reward_scale=1.0,
            overshoot=0,
            discount_horizon=333,
            lr=1e-3,
        ),
        "replay": dict(start="stored", online=True),
        "imagination": dict(starts=16, start_rows=16, last=16, horizon=15),
        "sac": dict(reward_scale=1.0, reward_unit="fixed"),
        "optimizer": dict(kind="laprop", clip="agc", warmup=100),
        "schedule": dict(sac_updates=1, halving=0),
    },
    # v1's world model learns from pictures with the defaults too, but more slowly. A picture's summed error is some ten times a vector's,
    # so that the KL would weigh a tenth; and how fast something moves is in the difference of two frames, which z learns to show if the
    # gradient of what follows reaches it. The windows before dreams are shorter because each row of them is read by the encoder.
    "pixels": {
        "model": dict(observation_scale=0.1, detach_z=False),
        "imagination": dict(starts=128, start_rows=6),
    },
}


def preset(name: str) -> Config:
    """The configuration of a preset: "dropin", "advantage", "dreamerv3" or "pixels".

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}: choose {', '.join(list(PRESETS)[:-1])} or {list(PRESETS)[-1]}")
    return from_dict({"preset": name})


def to_dict(config: Config) -> dict[str, Any]:
    """The whole tree as plain data, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(data: dict[str, Any]) -> Config:
    """A configuration from plain data; what is missing takes the value of its preset.

    Raises:
        ConfigError: naming the first field that does not exist, or has a wrong type or range.
    """
    if isinstance(data, dict):
        for name, values in PRESETS.get(str(data.get("preset")), {}).items():
            given = data.get(name, {} if isinstance(values, dict) else values)
            data = {**data, name: {**values, **given} if isinstance(values, dict) and isinstance(given, dict) else given}
    try:
        return TypeAdapter(Config).validate_python(data)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def explain(error: ValidationError) -> str:
    """One sentence for the first thing pydantic found wrong, in the tree or in one section of it."""
    first = error.errors()[0]
    sections = {field.type.__name__: (field.name,) for field in dataclasses.fields(Config) if dataclasses.is_dataclass(field.type)}
    name = ".".join(str(part) for part in (*sections.get(error.title, ()), *first["loc"])) or "config"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"the setting {name} does not exist: `python -m dreamer_core.train --help` shows all settings"
    return f"the setting {name} is {first['input']!r}: {first['msg'][0].lower() + first['msg'][1:]}"
