"""The whole benchmark: the ceiling, learning, speed, and the report.

    python tests/benchmarks/run.py                              everything, with 10 seeds: some hours
    python tests/benchmarks/run.py --suite pendulum --seeds 3   a part of it
    python tests/benchmarks/run.py --keep                       also write the small copies that notebooks read

Interrupt it whenever you like: what is finished is stored and not measured again.
"""

import argparse
import json
from pathlib import Path

import learning
import report
import speed


def ceiling(out: Path) -> None:
    """Compute the best possible returns on the evaluation episodes, once."""
    from dreamer_core.config import EvaluationConfig
    from dreamer_core.yardsticks import ceiling as dynamic

    if (out / "ceiling.json").exists():
        return
    print("computing the best possible return by dynamic programming: about half a minute", flush=True)
    settings = EvaluationConfig()
    returns = dynamic.best_returns(range(settings.seed, settings.seed + settings.episodes))
    (out / "ceiling.json").write_text(json.dumps({"mean": float(returns.mean()), "returns": returns.tolist()}), encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    learning.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of the speed measurement; 0 leaves it out (default: 5)")
    parser.add_argument("--keep", action="store_true", help="also write notebooks/assets/bench.json and the figures beside it")
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    ceiling(out)
    if arguments.rounds and (arguments.fresh or not (out / "speed.json").exists()):
        speed.measure(out, arguments.cores, arguments.rounds)
    runs, notes = learning.plan(arguments.suite, arguments.seeds, arguments.cores, arguments.variants, arguments.env_steps)
    failures = learning.measure(runs, out, arguments.jobs, arguments.fresh)
    print(report.write(out, report.ROOT / "notebooks" / "assets" if arguments.keep else None, notes + failures))
    print(f"written to {out / 'report.md'}, with the figures beside it")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
