"""Runs the scenarios it is told to, one after another, and prints one line of JSON for each."""

import answers  # noqa: F401
import errors  # noqa: F401
import limits  # noqa: F401
import parameters  # noqa: F401
import tools  # noqa: F401
from scenario import run

run()
