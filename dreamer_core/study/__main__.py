"""The command: make the runs of a study that are missing, and write its report.

    python -m dreamer_core.study studies/quick.yaml --out build/quick
    python -m dreamer_core.study studies/suite.yaml --out build/suite --workers 4
    python -m dreamer_core.study studies/suite.yaml --out /shared/suite --scheduler tcp://127.0.0.1:8786

Stopped at any moment, the same command goes on where it was. Arms, worlds, seeds and steps may be
added to the file meanwhile. Where the folder is gone and its report was kept, `--earlier` takes the
report's runs over, and only the others are made:

    python -m dreamer_core.study studies/suite.yaml --out build/suite --earlier notebooks/assets/studies/suite.json

**On a cluster.** `--scheduler` takes the address of any running Dask cluster whose workers have this
package, see DIR under the same path, and have one thread each. By hand:

    dask scheduler --port 8786
    dask worker tcp://127.0.0.1:8786 --nthreads 1 --nworkers 4         on each machine

On SLURM (`pip install dask-jobqueue`), in a Python session that stays open:

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=1, processes=1, memory="4GB", walltime="08:00:00")
    cluster.scale(100)
    print(cluster.scheduler_address)

On Kubernetes (`pip install dask-kubernetes`), with a volume that all pods mount for DIR:

    from dask_kubernetes.operator import KubeCluster
    cluster = KubeCluster(name="study", image=IMAGE, n_workers=100, worker_command="dask-worker --nthreads 1")
    print(cluster.scheduler_address)

A worker that is ended by its queue costs no run: another goes on from the run's newest checkpoint.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from dreamer_core.errors import DreamerError
from dreamer_core.study import conduct, earlier, report
from dreamer_core.study.plan import Plan, count, read
from dreamer_core.study.results import Results
from dreamer_core.train import say, stopped_like_ctrl_c


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line.

    Raises:
        ConfigError: it asks for two things that do not go together.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dreamer_core.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="what to compare; dreamer_core/study/plan.py has an example")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of this study's runs and report, new or of an earlier day"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes on this machine (default: one per core); 0 works in this process"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="work on a running Dask cluster instead, as tcp://HOST:PORT")
    parser.add_argument("--earlier", type=Path, metavar="REPORT.json", help="a report of this study, whose runs need not be made again")
    asked = parser.parse_args(words)
    conduct.check_workers(asked.workers, asked.scheduler)
    return asked


def work(plan: Plan, out: Path, workers: int | None, scheduler: str | None, report_of: Path | None = None) -> Results:
    """Make what is missing with a bar, and write the report.

    Args:
        report_of: an earlier report, whose runs are taken over.

    Raises:
        DreamerError: a world or an arm cannot be made here, the folder belongs to another study, the earlier report cannot be used,
            or the cluster fails.
    """
    conduct.check_here(plan, out, scheduler)
    with conduct.held(plan, out):
        if report_of is not None:
            taken = earlier.take(plan, out, report_of)
            say(f"{count(len(taken), 'run')} taken over from {report_of}")
        done, total = conduct.steps(plan, out)
        with tqdm(initial=done, total=total, unit="step", dynamic_ncols=True) as bar:

            def tell(steps: int, note: str) -> None:
                bar.set_postfix_str(note, refresh=False)
                bar.update(steps)

            conduct.make(plan, out, workers, scheduler, tell, say)
        results = Results(plan, out)
        report.write(results)
    return results


def main(words: list[str] | None = None) -> None:
    """Run the command line; exits with 2 and one sentence for what a user can mend, and with 1 if runs failed."""
    out = None
    with stopped_like_ctrl_c():
        try:
            asked = arguments(words)
            out = asked.out
            results = work(read(asked.study), out, asked.workers, asked.scheduler, asked.earlier)
        except DreamerError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print(f"stopped; the same command goes on in {out}", file=sys.stderr)
            raise SystemExit(130) from None
    for run in results.unfinished():
        print(f"{run.job.name} failed: {run.state}; its traceback is in {Path(run.job.path) / 'failed.txt'}", file=sys.stderr)
    print(f"written to {out / 'report.md'}, with figures and report.json beside it")
    raise SystemExit(bool(results.unfinished()))


if __name__ == "__main__":
    main()
