"""Making the runs of a study that are missing: in this process, or on a Dask cluster."""

import importlib.util
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dreamer_core import checkpoint
from dreamer_core import config as configs
from dreamer_core.errors import ConfigError, DreamerError, InUse
from dreamer_core.study import job as jobs_of
from dreamer_core.study.job import Job, changed, failure, finished, steps_done
from dreamer_core.study.plan import Plan
from dreamer_core.trainer import lookup

LOOK = 0.5  # seconds between two looks at what the workers have done
DEATHS = 3  # of workers at one job, without a step of progress between them, until it is given up
Tell = Callable[[int, str], None]  # told the steps that were added, and how many runs are done


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- the study's folder ------------------------------------------------------------------------


@contextmanager
def held(plan: Plan, out: Path) -> Iterator[None]:
    """Make `out` the folder of this study, alone in it, and write down what the study is.

    Raises:
        ConfigError: the folder belongs to another study; it says what differs. DreamerError: it cannot be written to, or
            another command is at work in it.
    """
    with ExitStack() as opened:
        try:
            out.mkdir(parents=True, exist_ok=True)
            opened.enter_context(checkpoint.lock(out / "study.lock"))
            known = record(plan)
            if (out / "study.json").exists():
                check_same(stored(out), plan, out)
            checkpoint.write_atomic(out / "study.json", json.dumps(known, indent=1).encode())
        except InUse:
            raise InUse(f"another study is at work in {out}: wait until it ends or stop it, or choose another folder (out)") from None
        except OSError as error:
            raise DreamerError(f"could not write to {out} ({error.strerror or error}): choose another folder (out)") from None
        yield


def stored(out: Path) -> dict[str, Any]:
    """The `record` in a study's folder."""
    try:
        found = json.loads((out / "study.json").read_bytes())
        return {"seeds": dict(found["seeds"]), "settings": dict(found["settings"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f"{out / 'study.json'} cannot be read: restore it, or choose another folder (out)") from None


def record(plan: Plan) -> dict[str, Any]:
    """What decides the runs of a study: seeds of each world, and the complete settings of each arm in each world."""
    settings = {world: {arm: configs.to_dict(plan.config(world, arm, plan.seeds[world][0])) for arm in plan.arms} for world in plan.worlds}
    return {"seeds": {world: list(plan.seeds[world]) for world in plan.worlds}, "settings": settings}


def check_same(old: dict[str, Any], plan: Plan, out: Path) -> None:
    """Arms, worlds, seeds and steps may be added to a study, and nothing else that decides its runs may change.

    What no run was begun with, as a world that cannot be made, may change in every way.

    Raises:
        ConfigError: something differs.
    """
    advice = "choose another folder (out), or put it back"
    new = record(plan)["settings"]
    for world, arms in old["settings"].items():
        begun = {arm: seeds for arm in arms if (seeds := [seed for seed in old["seeds"][world] if jobs_of.begun(out, world, arm, seed)])}
        if begun and world not in new:
            raise ConfigError(f"the study in {out} has the world {world}, which the plan has no more: {advice}")
        for arm, seeds in begun.items():
            settings = arms[arm]
            now = new[world].get(arm)
            if now is None:
                raise ConfigError(f"the study in {out} has the arm {arm}, which the plan has no more: {advice}")
            gone = sorted(set(seeds) - set(plan.seeds_of(world, arm)))
            if gone:
                raise ConfigError(f"the study in {out} has the seed {gone[0]} of {arm} in {world}, which the plan has no more: {advice}")
            names = [name for name in changed(settings, now) if name != "seed"]
            if now["env_steps"] < settings["env_steps"]:
                names.append("env_steps")
            if names:
                was, is_now = (lookup(tree, names[0]) for tree in (settings, now))
                raise ConfigError(f"the study in {out} has {arm} in {world} with {names[0]} {was!r}, the plan now {is_now!r}: {advice}")


# --- making what is missing --------------------------------------------------------------------


def steps(plan: Plan, out: Path) -> tuple[int, int]:
    """Environment steps of all runs of a study: those that earlier days did, and all."""
    every = jobs_of.jobs(plan, out)
    return sum(job.env_steps if finished(job) else steps_done(job) for job in every), sum(job.env_steps for job in every)


def check_workers(workers: int | None, scheduler: str | None) -> None:
    """Raises:
    ConfigError: no such number of processes can work, or those of two places are asked for.
    """
    if scheduler is not None and workers is not None:
        raise ConfigError("workers are processes here and a scheduler has those of a cluster: give one of the two")
    if workers is not None and (type(workers) is not int or workers < 0):
        raise ConfigError(f"the number of workers is {workers!r}: give 0 to work in this process, or a number of processes")


def check_here(plan: Plan, out: Path, scheduler: str | None) -> None:
    """Notice before the first run that none of a world or of an arm can be made on this machine; a scheduler's may have more.

    What runs were begun with passes: those that are missing will fail by name, and the report of the others can be written.

    Raises:
        ConfigError: naming the world or the arm, and what it lacks.
    """
    if scheduler is not None:
        return
    every = jobs_of.jobs(plan, out)
    try:
        begun = [job for job in every if jobs_of.begun(out, job.world, job.arm, job.seed)]
    except OSError:
        return  # `held` says what is wrong with the folder
    for kind, check in (("world", jobs_of.check_world), ("arm", jobs_of.check_arm)):
        passed = {getattr(job, kind) for job in begun}
        for job in every:
            if (name := getattr(job, kind)) not in passed:
                passed.add(name)
                try:
                    check(job.settings)
                except DreamerError as error:
                    advice = f"mend that, or take the {kind} out of the study"
                    raise ConfigError(f"no run of the {kind} {name} can be made here, so none was begun: {error}; {advice}") from None


def make(plan: Plan, out: Path, workers: int | None, scheduler: str | None, tell: Tell, say: Callable[[str], None]) -> None:
    """Make every run of the study that is missing; whoever calls this holds the folder.

    Args:
        workers: processes on this machine, 0 for none but this one; None takes one for each core.
        scheduler: address of a Dask cluster to use instead.
        tell: called with the steps that were done since its last call. say: called with a sentence that should be seen.

    Raises:
        DreamerError: the cluster cannot be started, reached or kept.
    """
    every = jobs_of.jobs(plan, out)
    missing = [job for job in every if not finished(job)]
    for job in missing:
        jobs_of.try_again(job)
    look = Watch(every, missing, tell)
    if not missing:
        return
    if workers == 0 and scheduler is None:
        return here(missing, look)
    with cluster(min(workers or cores(), len(missing)), scheduler, say) as client:
        on_cluster(client, missing, len(client.nthreads()), look)


class Watch:
    """Turns what lies in the run folders into progress: called now and then, it tells how many steps were added since.

    A run that falls back, as one that keeps no checkpoint and begins again, adds nothing until it is further than it was.

    Args:
        every: all runs of the study. missing: those that may come further.
    """

    def __init__(self, every: list[Job], missing: list[Job], tell: Tell) -> None:
        self.every, self.missing, self.tell = every, missing, tell
        self.furthest = list(map(steps_done, missing))

    def __call__(self) -> None:
        now = [max(before, steps_done(job)) for before, job in zip(self.furthest, self.missing)]
        added, self.furthest = sum(now) - sum(self.furthest), now
        done, failed = sum(map(finished, self.every)), sum(bool(failure(job)) for job in self.missing)
        self.tell(added, f"{done} of {len(self.every)} runs" + (f", {failed} failed" if failed else ""))


def here(missing: list[Job], look: Callable[[], None]) -> None:
    """One job after the other in this process, so that functions replaced in it take part."""
    for job in missing:
        jobs_of.run(job, 1, look)
        look()


@contextmanager
def cluster(workers: int, scheduler: str | None, say: Callable[[str], None]) -> Iterator[Any]:
    """A Dask client: of a cluster of single-threaded processes on this machine, or of one that is running at an address.

    Args:
        say: called with the address of the dashboard, if there is one, and with word of a cluster that has no workers.

    Raises:
        DreamerError: Dask is not installed, or nothing answers at the address.
    """
    try:
        import distributed
    except ImportError:
        raise DreamerError(
            "several processes need Dask, which is not installed: pip install -e '.[study]', or work in this process (workers 0)"
        ) from None
    if scheduler is None:
        # No limit on memory: a worker near it would be stopped, and a run takes no more for it.
        settings = dict(threads_per_worker=1, memory_limit=0, dashboard_address=":0", silence_logs=logging.ERROR)
        with distributed.LocalCluster(n_workers=workers, **settings) as local, distributed.Client(local) as client:
            client.run(hear_no_ctrl_c)
            if importlib.util.find_spec("bokeh"):  # without it there is no dashboard to see
                say(f"dashboard at {client.dashboard_link}")
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=20)
    except (OSError, ValueError) as error:
        raise DreamerError(f"no Dask scheduler answers at {scheduler} ({str(error) or type(error).__name__}): check the address") from None
    with client:
        threads = {address: number for address, number in client.nthreads().items() if number > 1}
        if threads:
            raise ConfigError(
                f"the worker {next(iter(threads))} has {next(iter(threads.values()))} threads, which would share one source of random "
                f"numbers: start the workers with --nthreads 1"
            )
        if not client.nthreads():
            say(f"the Dask cluster at {scheduler} has no workers yet: the runs begin when the first one joins it")
        if "dashboard" in client.scheduler_info()["services"]:
            say(f"dashboard at {client.dashboard_link}")
        yield client


def hear_no_ctrl_c() -> None:
    """Leave Ctrl-C, which a terminal sends to every process of a command, to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def on_cluster(client: Any, missing: list[Job], workers: int, look: Callable[[], None]) -> None:
    """All jobs on a cluster, whose workers see the study's folder under the same path.

    A job whose worker dies goes on from its checkpoint on another. It is given up when workers die at it again and again and
    it comes no further.

    Args:
        workers: how many there were when it began, for the runs' histories; 0 where none was there yet.

    Raises:
        DreamerError: the cluster is gone.
    """
    import distributed

    deaths = {job.path: (0, -1) for job in missing}  # at how many lives without progress, since which step
    waiting = {submitted(client, job, workers): job for job in missing}
    while waiting:
        time.sleep(LOOK)
        look()
        if client.status != "running":
            raise DreamerError("the Dask cluster is gone: start the study again, and it goes on where it stopped")
        for future in [future for future in waiting if future.done()]:
            job = waiting.pop(future)
            error = future.exception() if future.status == "error" else None
            if future.status == "cancelled":
                raise DreamerError("the Dask cluster dropped a run: start the study again, and it goes on where it stopped")
            if isinstance(error, distributed.KilledWorker):
                count, since = deaths[job.path]
                step = steps_done(job)
                deaths[job.path] = (1, step) if step > since else (count + 1, step)
                if deaths[job.path][0] < DEATHS:
                    waiting[submitted(client, job, workers)] = job
                    continue
                jobs_of.fail(job, f"its workers died {DEATHS} times at step {step}, as for want of memory", str(error))
            elif error is not None:
                jobs_of.fail(job, f"the worker could not begin it: {type(error).__name__}: {error}", str(error))
    look()


def submitted(client: Any, job: Job, workers: int) -> Any:
    """The future of a job on the cluster; its key is new, lest it be taken for one that an earlier command left there."""
    return client.submit(jobs_of.run, job, workers, key=f"run-{time.time_ns()}-{job.path}", pure=False)
