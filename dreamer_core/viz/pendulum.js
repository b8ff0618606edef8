// gymnasium's Pendulum-v1: a rod of 1 m and 1 kg, steps of 0.05 s, torque at most 2 N m, velocity at most 8 rad/s.
// The angle is 0 upright and grows anticlockwise.

export const DT = 0.05; // seconds of one step
export const TORQUE = 2; // N m of a push of 1

/** The angle as a number from -pi to pi. */
export const wrapped = (angle) => Math.atan2(Math.sin(angle), Math.cos(angle));

export class Pendulum {
  constructor(angle, velocity) {
    Object.assign(this, { angle, velocity });
  }

  /** One step with a push in [-1, 1], anticlockwise positive. Returns the reward. */
  push(push) {
    const torque = TORQUE * push;
    const reward = -(wrapped(this.angle) ** 2 + 0.1 * this.velocity ** 2 + 0.001 * torque ** 2); // of the state that is left
    const gravity = 10;
    this.velocity += DT * (1.5 * gravity * Math.sin(this.angle) + 3 * torque);
    this.velocity = Math.max(-8, Math.min(8, this.velocity));
    this.angle += DT * this.velocity;
    return reward;
  }

  /** What is seen of it: cos, sin and velocity. */
  observation() {
    return [Math.cos(this.angle), Math.sin(this.angle), this.velocity];
  }
}
