// A world model and its actor, as plain JavaScript: what rssm.py, latents.py, world_model.py and sac.py compute, without gradients.
// The weights come from engine.py. Many dreams are computed side by side: K rows in flat arrays, row after row. States are doubles:
// a dream of a pendulum is as unstable as the pendulum, and blows the rounding of floats up.

/** Half floats as they lie in memory -> floats. */
export function unhalf(halves) {
  const floats = new Float32Array(halves.length);
  for (let n = 0; n < halves.length; n++) {
    const bits = halves[n];
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction; // no infinities: engine.py packs none
    floats[n] = bits >> 15 ? -size : size;
  }
  return floats;
}

/** The agents that engine.py packed (an ArrayBuffer), in their order. */
export function readMinds(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const take = (count) => {
    const part = unhalf(new Uint16Array(buffer.slice(at, at + 2 * count)));
    at += 2 * count;
    return part;
  };
  return header.map(({ steps, returns, facts, layers }) => {
    const read = {};
    for (const [name, shapes] of Object.entries(layers)) {
      read[name] = shapes.map(([outputs, inputs, biased]) => {
        const weight = take(outputs * inputs);
        return { outputs, inputs, biased, weight, bias: biased ? take(outputs) : new Float32Array(outputs) };
      });
    }
    return new Mind(facts, read, steps, returns);
  });
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x)));

/** x (K, inputs) -> (K, outputs): one linear layer. */
function linear({ outputs, inputs, weight, bias }, x, K) {
  const out = new Float64Array(K * outputs);
  for (let o = 0; o < outputs; o++) {
    const row = o * inputs;
    let k = 0;
    for (; k + 4 <= K; k += 4) { // four sums side by side: none waits for another
      const from = k * inputs;
      let [a, b, c, d] = [0, 0, 0, 0];
      for (let i = 0; i < inputs; i++) {
        const w = weight[row + i];
        a += w * x[from + i];
        b += w * x[from + inputs + i];
        c += w * x[from + 2 * inputs + i];
        d += w * x[from + 3 * inputs + i];
      }
      out[k * outputs + o] = bias[o] + a;
      out[(k + 1) * outputs + o] = bias[o] + b;
      out[(k + 2) * outputs + o] = bias[o] + c;
      out[(k + 3) * outputs + o] = bias[o] + d;
    }
    for (; k < K; k++) {
      let sum = bias[o];
      for (let i = 0; i < inputs; i++) sum += weight[row + i] * x[k * inputs + i];
      out[k * outputs + o] = sum;
    }
  }
  return out;
}

/** SiLU, in place. */
function silu(x) {
  for (let n = 0; n < x.length; n++) x[n] *= sigmoid(x[n]);
  return x;
}

/** Layers with SiLU between them, and after the last one too if `through`. */
function mlp(layers, x, K, through = false) {
  layers.forEach((layer, n) => {
    x = linear(layer, x, K);
    if (through || n < layers.length - 1) silu(x);
  });
  return x;
}

/** Rows of a (K, A) and b (K, B), side by side: (K, A + B). */
function beside(a, b, K) {
  const [A, B] = [a.length / K, b.length / K];
  const out = new Float64Array(a.length + b.length);
  for (let k = 0; k < K; k++) {
    out.set(a.subarray(k * A, (k + 1) * A), k * (A + B));
    out.set(b.subarray(k * B, (k + 1) * B), k * (A + B) + A);
  }
  return out;
}

/** An agent: `steps` it has lived, `returns` it reached then, and all that its world model and actor compute. */
export class Mind {
  constructor(facts, layers, steps, returns) {
    Object.assign(this, { facts, layers, steps, returns });
  }

  /** The state before anything was seen: h (K, D) and z (K, Z). */
  initial(K) {
    return { h: new Float64Array(K * this.facts.deter), z: new Float64Array(K * this.facts.size), K };
  }

  /** The next h (K, D), of a state and actions (K, A): one GRU step. */
  step({ h, z, K }, action) {
    const D = this.facts.deter;
    const x = linear(this.layers.cellX[0], mlp(this.layers.input, beside(z, action, K), K, true), K); // (K, 3 D): reset, update, new
    const g = linear(this.layers.cellH[0], h, K);
    const out = new Float64Array(h.length);
    for (let k = 0; k < K; k++) {
      for (let d = 0; d < D; d++) {
        const at = 3 * k * D + d;
        const reset = sigmoid(x[at] + g[at]);
        const update = sigmoid(x[at + D] + g[at + D]);
        const fresh = Math.tanh(x[at + 2 * D] + reset * g[at + 2 * D]);
        out[k * D + d] = fresh + update * (h[k * D + d] - fresh);
      }
    }
    return out;
  }

  /** Parameters of p(z | h), the dream: (K, D) -> (K, P). */
  prior(h, K) {
    return mlp(this.layers.prior, h, K);
  }

  /** Parameters of q(z | h, e), eyes open: h (K, D) and one observation (O,) that all K see -> (K, P). */
  posterior(h, observation, K) {
    const { centre, scale } = this.facts;
    const units = Float64Array.from(observation, (o, n) => (o - centre[n]) / scale[n]);
    const seen = linear(this.layers.posteriorE[0], mlp(this.layers.encoder, units, 1, true), 1);
    const hidden = linear(this.layers.posteriorH[0], h, K);
    for (let n = 0; n < hidden.length; n++) hidden[n] += seen[n % seen.length];
    return mlp(this.layers.posteriorOut, silu(hidden), K);
  }

  /** Probabilities of a categorical z, S groups of classes in each row: (K, P) -> (K, P). */
  probabilities(params) {
    const { classes, unimix } = this.facts;
    const out = new Float64Array(params.length);
    for (let at = 0; at < params.length; at += classes) {
      let [top, sum] = [-Infinity, 0];
      for (let c = 0; c < classes; c++) top = Math.max(top, params[at + c]);
      for (let c = 0; c < classes; c++) sum += out[at + c] = Math.exp(params[at + c] - top);
      for (let c = 0; c < classes; c++) out[at + c] = ((1 - unimix) * out[at + c]) / sum + unimix / classes;
    }
    return out;
  }

  /** z (K, Z) of parameters (K, P) and noise (K, Z): Normal for a Gaussian z, Gumbel for a categorical one; without noise the most likely z. */
  sample(params, noise, K) {
    const { latent, size, classes, minStd } = this.facts;
    const z = new Float64Array(K * size);
    if (latent === "gaussian") {
      for (let k = 0; k < K; k++) {
        for (let n = 0; n < size; n++) {
          const spread = noise ? (softplus(params[2 * k * size + size + n]) + minStd) * noise[k * size + n] : 0;
          z[k * size + n] = params[2 * k * size + n] + spread;
        }
      }
      return z;
    }
    const probs = this.probabilities(params);
    for (let at = 0; at < z.length; at += classes) {
      let [best, chosen] = [-Infinity, 0];
      for (let c = 0; c < classes; c++) {
        const score = Math.log(probs[at + c]) + (noise ? noise[at + c] : 0);
        if (score > best) [best, chosen] = [score, c];
      }
      z[at + chosen] = 1;
    }
    return z;
  }

  /** KL[q || p] in nats, of parameters (K, P): (K,). How surprised the model is by what it saw. */
  kl(q, p, K) {
    const { latent, size, minStd } = this.facts;
    const out = new Float64Array(K);
    if (latent === "gaussian") {
      for (let k = 0; k < K; k++) {
        for (let n = 0; n < size; n++) {
          const at = 2 * k * size + n;
          const [stdQ, stdP] = [softplus(q[at + size]) + minStd, softplus(p[at + size]) + minStd];
          const ratio = (stdQ / stdP) ** 2;
          out[k] += 0.5 * (ratio + ((q[at] - p[at]) / stdP) ** 2 - 1 - Math.log(ratio));
        }
      }
      return out;
    }
    const [probsQ, probsP] = [this.probabilities(q), this.probabilities(p)];
    for (let n = 0; n < probsQ.length; n++) out[Math.floor(n / size)] += probsQ[n] * Math.log(probsQ[n] / probsP[n]);
    return out;
  }

  /** The state after actions (K, A), nothing seen: z comes from the prior. */
  dream(state, action, noise) {
    const { K } = state;
    const h = this.step(state, action);
    return { h, z: this.sample(this.prior(h, K), noise, K), K };
  }

  /** The state after actions (K, A) and a look at one observation (O,): z comes from the posterior. With the KL from the prior, (K,). */
  look(state, action, observation, noise) {
    const { K } = state;
    return this.see(this.step(state, action), observation, noise, K);
  }

  /** The state that memory h (K, D) and a look make; `look` at an episode's first row, where h is 0. */
  see(h, observation, noise, K) {
    const q = this.posterior(h, observation, K);
    return { h, z: this.sample(q, noise, K), K, surprise: this.kl(q, this.prior(h, K), K) };
  }

  /** What the states look like, in the world's units: (K, O). */
  decode({ h, z, K }) {
    const { centre, scale } = this.facts;
    const out = mlp(this.layers.decoder, beside(h, z, K), K);
    for (let n = 0; n < out.length; n++) out[n] = out[n] * scale[n % scale.length] + centre[n % scale.length];
    return out;
  }

  /** The predicted reward, in the world's units: mean (K,) and std (K,). */
  reward({ h, z, K }) {
    const { rewardStd, rewardMinStd, rewardUnit } = this.facts;
    const raw = mlp(this.layers.reward, beside(h, z, K), K);
    const mean = Float64Array.from({ length: K }, (_, k) => raw[2 * k] * rewardUnit);
    const std = Float64Array.from({ length: K }, (_, k) => rewardUnit * (rewardStd > 0 ? rewardStd : softplus(raw[2 * k + 1]) + rewardMinStd));
    return { mean, std };
  }

  /** The probability that the episode goes on after each state: (K,). */
  continues({ h, z, K }) {
    return mlp(this.layers.cont, beside(h, z, K), K).map(sigmoid);
  }

  /** What the actor does in each state, (K, A) in [-1, 1]: its most likely action, or with Normal noise (K, A) a sample. */
  act({ h, z, K }, noise = null) {
    const { action, meanLimit, logStdMin, logStdMax } = this.facts;
    const raw = mlp(this.layers.actor, beside(h, z, K), K);
    return Float64Array.from({ length: K * action }, (_, n) => {
      const at = Math.floor(n / action) * 2 * action + (n % action);
      const mean = meanLimit > 0 ? meanLimit * Math.tanh(raw[at] / meanLimit) : raw[at];
      const std = Math.exp(Math.min(logStdMax, Math.max(logStdMin, raw[at + action])));
      return Math.tanh(mean + (noise ? std * noise[n] : 0));
    });
  }

  /** Noise for K samples of z, a function of the seed and the step alone: the same pushes then give the same dreams. */
  luck(seed, step, K) {
    const random = generator(seed, step);
    const draw = this.facts.latent === "gaussian" ? () => normal(random) : () => -Math.log(-Math.log(random()));
    return Float64Array.from({ length: K * this.facts.size }, draw);
  }
}

/** A generator of numbers between 0 and 1, both left out: mulberry32 (Tommy Ettinger, public domain), begun from two whole numbers. */
export function generator(seed, step) {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca6b)) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

/** A standard Normal number (Box and Muller, 1958). */
export function normal(random) {
  return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
}
