"""Small worlds, each made to ask for one ability of an agent.

    import dreamer_core.worlds, gymnasium as gym
    gym.make("dreamer/PointMass-v0")

    python -m dreamer_core.train --env dreamer/PointMass-v0      (the command finds them by itself)

Importing this module registers them under the namespace "dreamer"; since version 1.0 gymnasium looks
for no plugins, so something must import it. `gym.make("dreamer_core.worlds:dreamer/PointMass-v0")`
does so in one line.

Beside gymnasium's interface each world has `names` and `units`, one for each entry of the
observation ("" where there is no unit; a picture's pixels have none), and `scene(observation)`, which says what an observation
looks like (`scene.py`): `gym.make(...).unwrapped.scene(observation)`. What is known about each, the
random and the best return, is in `dreamer_core/yardsticks/scales.py`.

A world of your own needs nothing of this: its observations are drawn as bars. A few lines more, in a
notebook or in a file, and every picture of this package draws it as it is:

    class Lift(gym.Env):                                          # observation (2,): height in m, velocity in m/s
        names, units = ("height", "velocity"), ("m", "m/s")       # for the axes of figures
        seconds = 0.1                                             # of a step

        def scene(self, observation):                             # any observation (O,), real or dreamt
            height, velocity = map(float, observation)
            cabin = Rectangle(-1, height, 1, height + 2, "body")  # what moves: each figure gives it a colour
            shaft = Line(-1, 0, -1, 12, "fixed"), Line(1, 0, 1, 12, "fixed")
            return Scene((-6, -1, 6, 13), (*shaft, cabin))        # left, bottom, right, top of the picture; then its parts
        ...
    gym.register("Lift-v0", Lift, max_episode_steps=100)

`levers`, if they are said, name what is pushed, for whoever drives the world by hand (`levers.py`).
`plane()`, if there is one, returns the `Plane` (`plane.py`) on which values and maps are drawn. The
drawing of a run, whatever its world, is `drawing.drawing(config)`.
"""

import gymnasium as gym

WORLDS = {  # name of the world: steps of its time limit
    "PointMass": 100,
    "SparsePendulum": 200,
    "FlickerPendulum": 200,
    "Recall": 60,  # beyond its longest episode
    "ChangingPendulum": 200,
    "Distractors": 200,
    "WaterTanks": 100,
    "PixelPendulum": 200,
    "PixelPointMass": 100,
}


def module(world: str) -> str:
    """The file of a world: "point_mass" for "PointMass"."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in world)[1:]


for world, steps in WORLDS.items():
    gym.register(f"dreamer/{world}-v0", f"{__name__}.{module(world)}:{world}", max_episode_steps=steps)
