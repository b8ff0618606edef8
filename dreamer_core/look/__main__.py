"""The command: look at a run, while it trains or afterwards.

    python -m dreamer_core.look runs/first                     writes runs/first/look.html
    python -m dreamer_core.look runs/first --out first.html
    python -m dreamer_core.look runs/first --tensorboard runs/events      adds the film to TensorBoard's files instead

The page holds the settings, the learning curve and the dashboard; and of a run with a world model a film, an explorer, maps of what the
latent state knows and of what it thinks of each place. It is one file, opens from disk, and needs neither a kernel nor a network. What
cannot be shown is told in a sentence.
"""

import argparse
import sys
from pathlib import Path

from dreamer_core.errors import DreamerError
from dreamer_core.look import tensorboard
from dreamer_core.look.page import PAGE, page


def main(words: list[str] | None = None) -> None:
    """Run the command line; exits with 2 and one sentence for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m dreamer_core.look", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"the page (default: {PAGE} in the run's folder)")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="add the film to TensorBoard's files in DIR, and write no page")
    asked = parser.parse_args(words)
    out = asked.tensorboard or asked.out or asked.run / PAGE
    try:
        if asked.tensorboard:
            tensorboard.write(asked.run, out)
        else:
            out.write_text(page(asked.run), encoding="utf-8")
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        print(f"error: could not write {out} ({error.strerror or error}): choose another place", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"written to {out}")


if __name__ == "__main__":
    main()
