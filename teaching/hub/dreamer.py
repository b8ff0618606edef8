"""What the course asks of a JupyterHub: limits for each student, and where their server opens. See teaching/hub.md.

The Littlest JupyterHub reads this file from /opt/tljh/config/jupyterhub_config.d/dreamer.py; `try.py` beside it reads it too.
"""

c = get_config()  # noqa: F821

c.Spawner.mem_limit = "2.5G"  # of one student, all open notebooks together; a test holds it against what was measured
c.Spawner.cpu_limit = 1.0  # a notebook computes on one core
c.Spawner.default_url = "/lab/tree/dreamer/00_play_in_a_dream.ipynb"
c.Spawner.environment = {"OMP_NUM_THREADS": "1"}  # else each kernel starts a thread for each core of a large machine
