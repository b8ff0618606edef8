"""A hub on this computer alone, to look at before a server is rented. It keeps nobody apart from anybody: not for a class.

    pip install -e '.[hub]'
    make handout
    python -m jupyterhub --config teaching/hub/try.py

Then open the address it shows. Any name of USERS and the password below log in; homes are below build/hub.
"""

import shutil
import sys
from pathlib import Path

c = get_config()  # noqa: F821
ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "hub"
USERS = {"student1", "student2"}

PLACE.mkdir(parents=True, exist_ok=True)
load_subconfig(str(Path(__file__).with_name("dreamer.py")))  # noqa: F821
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.db_url = f"sqlite:///{PLACE / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(PLACE / "cookie_secret")
c.ConfigurableHTTPProxy.command = [sys.executable, "-c", "from configurable_http_proxy.cli import main; main()"]
c.ConfigurableHTTPProxy.pid_file = str(PLACE / "proxy.pid")
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.SimpleLocalProcessSpawner.home_dir_template = str(PLACE / "home" / "{username}")
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "a dream of my own"
c.Authenticator.allowed_users = USERS


def give_notebooks(spawner) -> None:
    """What /etc/skel does on a real server: a new home has the notebooks in it."""
    home = Path(spawner.home_dir) / "dreamer"
    if not home.exists():
        shutil.copytree(ROOT / "build" / "handout" / "student", home)


c.Spawner.pre_spawn_hook = give_notebooks
