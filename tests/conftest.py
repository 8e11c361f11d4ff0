"""One thread a process: on a busy machine the threads of many small operations wait for each other most of the time."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
