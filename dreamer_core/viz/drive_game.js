// Driving a dream beside the true pendulum: the rules, without a picture. game.py has the same for the kernel's widget.

import { Pendulum, wrapped } from "./pendulum.js";

export const DREAMS = 16; // the first is *the* dream; fifteen ghosts show how sure the model is
export const KEPT = 1200; // moments that are remembered: a minute
export const REPLAYED = 200; // pushes that another mind is given again

/** Root of the mean square over the entries of an observation, each in the unit of the mind that saw most of the world. */
const rms = (entries, scale) => Math.sqrt(entries.reduce((sum, entry, n) => sum + (entry / scale[n]) ** 2, 0) / entries.length);

/** The world and K dreams of it, which get the same pushes. Time stands still unless somebody calls `step`. */
export class Game {
  /** minds: as `readMinds` returns them, youngest first. seed: of the dreams' luck. */
  constructor(minds, seed = 0) {
    Object.assign(this, { minds, seed, scale: minds.at(-1).facts.scale, mind: minds.at(-1) });
    this.reset();
  }

  get now() {
    return this.trail[this.at];
  }

  /** Both start from a place of the pendulum, at which the mind takes one look. Everything before is forgotten. */
  reset(angle = Math.PI - 0.4, velocity = 0) {
    this.eyes = false; // shut
    this.actor = false;
    this.other = []; // moments of the branch that was left, from the point where it was left
    this.trail = [];
    this.at = 0; // the moment that is shown
    const world = new Pendulum(angle, velocity);
    const noise = this.mind.luck(this.seed, 0, DREAMS);
    const state = this.mind.see(this.mind.initial(DREAMS).h, world.observation(), noise, DREAMS);
    this.keep(this.moment(0, 0, world, null, state, true));
  }

  /** Push both for 1/20 s, or let the actor choose, who feels the dream alone. From an earlier moment, this begins another branch. */
  step(push) {
    const { state, world: before, step } = this.now;
    if (this.at < this.trail.length - 1) this.branch();
    const action = this.actor ? this.mind.act(state)[0] : push;
    const world = new Pendulum(before.angle, before.velocity);
    const reward = world.push(action);
    this.keep(this.moment(step + 1, action, world, reward, this.follow(state, step + 1, action, world, this.eyes), this.eyes));
  }

  /** Show an earlier moment; a step from there begins another branch. */
  goTo(at) {
    this.at = Math.max(0, Math.min(this.trail.length - 1, at));
  }

  /** What was lived after the moment that is shown becomes the other branch. */
  branch() {
    this.other = this.trail.slice(this.at);
    this.trail = this.trail.slice(0, this.at + 1);
  }

  /** Another mind, of another age, is given the last pushes again, and looks when the one before looked. */
  grow(mind) {
    const lived = this.trail.slice(Math.max(0, this.at - REPLAYED), this.at + 1);
    this.mind = mind;
    const [first, ...rest] = lived;
    let state = mind.see(mind.initial(DREAMS).h, first.world.observation(), mind.luck(this.seed, first.step, DREAMS), DREAMS);
    this.other = [];
    this.trail = [this.moment(first.step, first.action, first.world, first.reward, state, true)];
    for (const { step, action, world, reward, eyes } of rest) {
      state = this.follow(state, step, action, world, eyes);
      this.trail.push(this.moment(step, action, world, reward, state, eyes));
    }
    this.at = this.trail.length - 1;
  }

  follow(state, step, action, world, eyes) {
    const actions = new Float64Array(DREAMS).fill(action);
    const noise = this.mind.luck(this.seed, step, DREAMS);
    return eyes ? this.mind.look(state, actions, world.observation(), noise) : this.mind.dream(state, actions, noise);
  }

  keep(moment) {
    this.trail.push(moment);
    if (this.trail.length > KEPT) this.trail.shift();
    this.at = this.trail.length - 1;
  }

  /** Everything there is to see after a step, and all it takes to go on from there. */
  moment(step, action, world, reward, state, eyes) {
    const seen = this.mind.decode(state);
    const O = this.scale.length;
    const dreams = Array.from({ length: DREAMS }, (_, k) => Array.from(seen.subarray(k * O, (k + 1) * O)));
    const spread = Array.from({ length: O }, (_, n) => {
      const mean = dreams.reduce((sum, dream) => sum + dream[n], 0) / DREAMS;
      return Math.sqrt(dreams.reduce((sum, dream) => sum + (dream[n] - mean) ** 2, 0) / (DREAMS - 1));
    });
    const truth = world.observation();
    return {
      step, action, world, reward, state, eyes,
      angles: dreams.map(([cosine, sine]) => Math.atan2(sine, cosine)),
      dreamt: this.mind.reward(state).mean[0],
      drift: rms(dreams[0].map((entry, n) => entry - truth[n]), this.scale),
      uncertainty: rms(spread, this.scale),
      surprise: eyes ? state.surprise[0] : null, // of the first dream, in nats
      off: Math.abs(wrapped(Math.atan2(dreams[0][1], dreams[0][0]) - world.angle)),
    };
  }
}
