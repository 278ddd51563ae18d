"""A year of retraining in minutes: `python -m tests.year DATA WORK [--tiny]` (`make year`).

Twelve versions of a data set, a retraining each: two are damaged, one model is made worse on
purpose, two runs are killed with SIGKILL (in the middle of training, and of a promotion) and
started again, one release is rolled back by hand. A client asks all the while.

WORK gets the workspace, `year.json` and `year.png`. Months are versions of the data, no time.
"""

import argparse
import sys
from pathlib import Path

from tests.year.year import Year

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a BEIR folder")
    parser.add_argument("work", type=Path, help="a new folder")
    parser.add_argument("--tiny", action="store_true", help="a model that trains in a second")
    options = parser.parse_args()
    sys.exit(Year(options.data.resolve(), options.work.resolve(), tiny=options.tiny).run())
