"""Processes that a test starts, and often kills: forked from one that has imported what they need.

Importing the steps of a run costs a process of its own five seconds of a core. A fork knows the environment that the
fork server began with, so that whoever needs the test's own hands it over.
"""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.delivery.crash_steps", "tasks.delivery", "tasks.outreach", "tasks.runs"])
