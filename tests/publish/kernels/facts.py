# ruff: noqa: E402, NPY002, T201 (the notebook's names come first; the state that kernels might share)
"""What a kernel tells about itself, as one JSON object; run in a cell, so that names are the notebook's."""

names = sorted(name for name in globals() if not name.startswith("_"))

import gc
import json
import locale
import os
import random
import resource
import signal
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path

import joblib  # noqa: F401 (sets a variable)
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd


def opened():
    """Return what is open, by kind, since numbers of sockets and pipes differ anyway."""
    kinds = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if "/ipython/" in target:  # IPython's own, open at times
            continue
        kinds.append(target.rstrip("0123456789[]").replace(folder, ""))
    return sorted(kinds)


folder = str(Path(sys.argv[-1]).parent)
print(
    json.dumps(
        {
            "same": {
                "names": names,
                "main": [sys.modules["__main__"].__name__, hasattr(sys.modules["__main__"], "main")],
                "argv": [part.replace(folder, "") for part in [*sys.argv, *sys.orig_argv]],
                "path": sys.path,
                "flags": list(sys.flags),
                "cwd": str(Path.cwd()),
                "environment": {name: text.replace(folder, "") for name, text in sorted(os.environ.items())},
                "umask": os.umask(os.umask(0)),
                "locale": [locale.setlocale(category) for category in range(6)],
                "encodings": [sys.stdout.encoding, sys.getfilesystemencoding(), locale.getencoding()],
                "zone": time.tzname,
                "signals": [str(signal.getsignal(number)) for number in (2, 13, 15, 17)],
                "limits": [resource.getrlimit(number) for number in range(10)],
                "leader": os.getsid(0) == os.getpgid(0) == os.getpid(),
                "warnings": sorted(str(entry) for entry in warnings.filters),
                "collector": [gc.isenabled(), gc.get_threshold()],
                "temporary": tempfile.gettempdir(),
                "drawing": {name: str(value) for name, value in mpl.rcParams.items()},
                "backend": mpl.get_backend(),
                "figures": plt.get_fignums(),
                "pandas": pd.get_option("display.max_rows"),
                "left": [hasattr(json, "left"), "left" in dir(__builtins__), "left" in globals()],
                "input": sys.__stdin__.read(),
            },
            "opened": opened(),
            "chance": {
                "random": random.random(),
                "numpy": np.random.random(),
                "generator": np.random.default_rng().random(),
                "uuid": str(uuid.uuid4()),
                "bytes": os.urandom(8).hex(),
                "name": tempfile.mktemp(),
                "pid": os.getpid(),
                "series": float(pd.Series(range(1000)).sample(1).iloc[0]) + np.random.random(),
            },
        }
    )
)
