"""A real browser for tests of what runs in one. Without chromium or Playwright they are skipped, with the reason."""

import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

PATIENCE = 240  # seconds for anything to appear: it takes a few, on a busy machine many times that
LIMIT = 600  # seconds for one test, its set-up not counted: a browser that hangs must not hang the suite
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items):
    """A browser that crashes, as happens once in many hundred tests, is started again, and its test too; any other failure stands."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TargetClosedError"]))


@pytest.fixture(scope="session")
def launch():
    """Starts Debian's chromium, or any other that is installed, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install playwright)")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("no chromium found (on Debian: apt install chromium)")
    with playwright.sync_playwright() as driver:
        yield functools.partial(driver.chromium.launch, executable_path=path, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def started():
    """The browsers that were started; the last one lives, unless it has crashed."""
    browsers = []
    yield browsers
    for browser in browsers:
        browser.close()


@pytest.fixture
def browser(launch, started):
    """A living browser."""
    if not started or not started[-1].is_connected():
        started.append(launch())
    return started[-1]


@pytest.fixture
def page(browser):
    """An empty page; `page.errors` collects console errors, uncaught exceptions and requests that leave this machine."""
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    page.errors = []
    page.set_default_timeout(PATIENCE * 1000)
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))

    def refuse(route):
        page.errors.append(f"network: {route.request.url}")
        route.abort()

    page.route(re.compile(r"^https?://(?!localhost|127\.0\.0\.1)"), refuse)
    yield page
    page.close()


@pytest.fixture(scope="session")
def lab(launch, tmp_path_factory):
    """A running JupyterLab: (its address, the folder it serves)."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    root = tmp_path_factory.mktemp("lab")
    for name in ("config", "runtime", "workspaces", "settings"):
        (root / ".own" / name).mkdir(parents=True)
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    own |= {"JUPYTERLAB_SETTINGS_DIR": "settings"}
    environment = os.environ | {key: str(root / ".own" / name) for key, name in own.items()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.ip=127.0.0.1"]
    command += [
        "--expose-app-in-browser",
        f"--ServerApp.root_dir={root}",
        "--IdentityProvider.token=",
        "--ServerApp.port_retries=0",
        "--LabApp.news_url=",
    ]
    log = open(root / ".own" / "log", "wb")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(address + "/api", server, PATIENCE)
        yield address, root
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def wait_for(url, server, seconds):
    """Until `url` answers, or the server has died, or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start within {seconds} s")


@pytest.fixture(autouse=True)
def hard_limit():
    """Stops a test that takes too long."""

    def stop(*_):
        raise TimeoutError(f"this test took more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
