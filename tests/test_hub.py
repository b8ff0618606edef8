"""The recipe for a class's server: two students on a real JupyterHub of this machine, and the numbers and limits that the text states."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import yaml
from scripts import script
from traitlets.config.loader import PyFileConfigLoader

from dreamer_core.classroom import handout

ROOT = Path(__file__).parents[1]
HUB = ROOT / "teaching" / "hub"
PATIENCE = 300  # seconds for anything to start: it takes ten, on a busy machine many times that
TOKEN = "known-to-this-test-alone"
NEEDED = ("jupyterhub", "configurable_http_proxy", "websocket")
# The test asks the hub as a service does, with a token; students log in with a password.
SERVICE = f"""
c = get_config()
load_subconfig("course/teaching/hub/try.py")
c.JupyterHub.services = [{{"name": "test", "api_token": {TOKEN!r}}}]
c.JupyterHub.load_roles = [{{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "access:servers"]}}]
"""


# --- the numbers and the limits ----------------------------------------------------------------------


@pytest.fixture
def memory():
    return script("memory")


def test_the_page_shows_what_was_measured(memory):
    page = memory.PAGE.read_text(encoding="utf-8")
    assert page == memory.page(page), "teaching/hub.md differs from what is stored: python tests/benchmarks/memory.py --write"


def test_every_notebook_was_measured(memory):
    measured, server = memory.stored()
    missing = {path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")} - set(measured)
    if missing or not server:
        pytest.skip(f"not measured yet: python tests/benchmarks/memory.py --only {' '.join(sorted(missing))}")
    # torch alone takes more than 150 MiB; whoever reads less has read another unit
    assert all(150 < use.kernel_mb < 4096 for use in measured.values()), measured


def test_how_many_students_fit(memory):
    """By hand: 100 + max(400 + 50, 300 + 200) = 600 MiB a student; (8 - 2) GiB hold 10 of them; 600 + 400 MiB are 1 GiB in halves."""
    measured = {"00": memory.Use(400, 50), "01": memory.Use(300, 200)}
    assert memory.student_mb(measured, 100) == 600
    assert memory.students(8, measured, 100) == 10 and memory.students(2, measured, 100) == 0
    assert memory.limit_gb(measured, 100) == 1 and memory.limit_gb(measured, 125) == 1.5
    times = {"00": memory.minutes.Times(30.0, 1.0), "01": memory.minutes.Times(60.0, 1.0)}
    assert "each waits 8 minutes" in memory.table(measured, 100, times), "eight times the 60 s of the longest"


def test_a_notebook_that_was_not_measured_is_named(memory):
    measured, times = {"00": memory.Use(400, 50)}, {name: memory.minutes.Times(30.0, 1.0) for name in ("00", "01")}
    assert "Not measured yet: 01." in memory.table(measured, 100, times)
    assert "Not measured" not in memory.table(measured, 100, {"00": times["00"]})


def test_the_limits_are_those_that_the_page_states(memory):
    """In the configuration for one server and in that for Kubernetes."""
    stated = memory.limit_gb(*memory.stored())
    local = PyFileConfigLoader(str(HUB / "dreamer.py")).load_config().Spawner
    assert local.mem_limit == f"{stated:g}G", f"teaching/hub/dreamer.py limits memory to {local.mem_limit}, the page says {stated:g} GiB"
    cluster = yaml.safe_load((HUB / "values.yaml").read_text(encoding="utf-8"))["singleuser"]
    assert cluster["memory"]["limit"] == local.mem_limit and cluster["cpu"]["limit"] == local.cpu_limit
    guaranteed = float(cluster["memory"]["guarantee"].removesuffix("G")) * 1024
    assert memory.student_mb(*memory.stored()) <= guaranteed <= stated * 1024, "what is guaranteed does not hold the hungriest notebook"
    assert cluster["extraEnv"] == local.environment and cluster["defaultUrl"] == local.default_url


def test_what_runs_below_a_kernel_is_seen(memory):
    """A child that holds 64 MiB of its own for two seconds, and a kernel that has gone."""
    hungry = "import time; held = bytearray(64 * 2**20); time.sleep(2)"
    parent = subprocess.Popen([sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hungry!r}])"])
    watch = memory.Watch(parent.pid)
    watch.start()
    parent.wait(60)
    most = watch.stop()
    assert 64 * 2**20 <= most < 200 * 2**20, f"{most / 2**20:.0f} MiB were seen"
    assert memory.descendants(watch.kernel) == []


# --- two students on a hub ---------------------------------------------------------------------------


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Hub:
    """A running hub, asked over its REST interface."""

    def __init__(self, address, homes):
        self.address, self.homes = address, homes

    def ask(self, method, path, body=None):
        """The answer as JSON, or None where it is empty."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Authorization": f"token {TOKEN}"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def start(self, user):
        """Start a student's server and wait until it is there."""
        self.ask("POST", f"/hub/api/users/{user}/server", {})
        until(lambda: self.ask("GET", f"/hub/api/users/{user}")["servers"].get("", {}).get("ready"), f"the server of {user}")

    def kernel(self, user):
        """A kernel in the student's folder of notebooks; a function that runs cells there."""
        import websocket

        session = {"path": "dreamer/cells.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        number = self.ask("POST", f"/user/{user}/api/sessions", session)["kernel"]["id"]
        channel = websocket.create_connection(
            f"{self.address.replace('http', 'ws')}/user/{user}/api/kernels/{number}/channels",
            header=[f"Authorization: token {TOKEN}"],
            timeout=PATIENCE,
        )
        return lambda code: run(channel, code)


def run(channel, code):
    """What a cell prints.

    Raises:
        AssertionError: it fails.
    """
    own = uuid.uuid4().hex
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    header = {"msg_id": own, "msg_type": "execute_request", "username": "", "session": own, "version": "5.3", "date": ""}
    channel.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}))
    printed = ""
    while True:
        message = json.loads(channel.recv())
        if message["parent_header"].get("msg_id") != own:
            continue
        if message["msg_type"] == "stream":
            printed += message["content"]["text"]
        if message["msg_type"] == "error":
            raise AssertionError("\n".join(message["content"]["traceback"]))
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return printed


def until(holds, what):
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found := holds():
                return found
        except OSError:  # nothing listens there yet
            pass
        time.sleep(0.5)
    pytest.fail(f"{what} was not there after {PATIENCE} s")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """teaching/hub/try.py itself, on free ports and with homes of this test."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -e '.[hub]'")
    if sys.platform == "win32":
        pytest.skip("JupyterHub does not run on Windows")
    place = tmp_path_factory.mktemp("hub")
    front, back, api = free_ports(3)
    (place / "config.py").write_text(SERVICE, encoding="utf-8")
    course = place / "course"  # try.py finds the hand-out and the homes from where it lies
    shutil.copytree(HUB, course / "teaching" / "hub")
    handout.main(["--out", str(course / "build" / "handout"), "--notebook", "03"])
    command = [sys.executable, "-m", "jupyterhub", "--config", str(place / "config.py"), f"--JupyterHub.bind_url=http://127.0.0.1:{front}"]
    command += [f"--JupyterHub.hub_bind_url=http://127.0.0.1:{back}", f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{api}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DREAMER_", "JUPYTER", "JPY_"))}
    environment["PYTHONPATH"] = str(ROOT)
    log = open(place / "log", "wb")
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True)
    running = Hub(f"http://127.0.0.1:{front}", course / "build" / "hub" / "home")
    try:
        until(lambda: process.poll() is not None or running.ask("GET", "/hub/api/"), "the hub")
        assert process.poll() is None, (place / "log").read_text(encoding="utf-8")[-3000:]
        yield running
        for user in ("student1", "student2"):
            try:
                running.ask("DELETE", f"/hub/api/users/{user}/server")
            except urllib.error.HTTPError:
                pass  # a test that failed has not started it
    finally:
        process.terminate()
        process.wait(60)
        log.close()


ANSWER = '@exercise("3.2")\ndef gaussian_sample(mean, std, noise):\n    return mean + std * noise'
BEGIN = 'from dreamer_core.classroom import begin, exercise, progress\nbegin("03")'


def test_two_students_work_at_once_and_keep_their_answers_apart(hub):
    """One solves an exercise; the other, in the same moment on the same machine, has solved nothing. The answer outlives the server."""
    cells = {}
    for user in ("student1", "student2"):
        hub.start(user)
        assert (hub.homes / user / "dreamer" / "03_rssm.ipynb").exists(), f"{user} was given no notebook"
        cells[user] = hub.kernel(user)
        assert "Parts of the agent that are your own code: 0" in cells[user](BEGIN)
    assert "✓ 3.2" in cells["student1"](ANSWER)
    answers = hub.homes / "student1" / "dreamer" / "my_answers.json"
    assert list(json.loads(answers.read_text(encoding="utf-8"))["exercises"]) == ["3.2"]
    assert not (hub.homes / "student2" / "dreamer" / "my_answers.json").exists(), "the other student has answers"
    assert "0 of" in cells["student2"]("progress()").splitlines()[-1]

    hub.ask("DELETE", "/hub/api/users/student1/server")
    until(lambda: not hub.ask("GET", "/hub/api/users/student1")["servers"], "the end of a server")
    hub.start("student1")
    assert "You have solved 1 of" in hub.kernel("student1")(BEGIN), "an answer was lost with the server, or is a stranger's after it"


def test_the_limits_reach_the_students_kernel(hub):
    """The hub tells each server its limits; enforcing them is the business of systemd or Kubernetes, which a local process has not."""
    if not hub.ask("GET", "/hub/api/users/student2")["servers"]:
        hub.start("student2")
    told = hub.kernel("student2")("import os\nprint(os.environ['MEM_LIMIT'], os.environ['CPU_LIMIT'], os.environ['OMP_NUM_THREADS'])")
    local = PyFileConfigLoader(str(HUB / "dreamer.py")).load_config().Spawner
    assert told.split() == [str(round(float(local.mem_limit.removesuffix("G")) * 2**30)), str(local.cpu_limit), "1"]
