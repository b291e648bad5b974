# ruff: noqa: INP001 (a script, no package)
"""Execute notebooks by plain Papermill on warm kernels: `python warm_kernels.py OUTPUT NOTEBOOK...`.

Before it: `python -m cxreport.publish.kernels install --name warm --import pandas`.
"""

import sys
import time
from pathlib import Path

import papermill

from cxreport.publish.kernels.client import PromptManager


def main(output: Path, *notebooks: Path) -> None:
    """Execute notebooks one after the other; the first pays the imports, the others do not."""
    for notebook in notebooks:
        begun = time.monotonic()
        papermill.execute_notebook(
            notebook,
            output / notebook.name,
            kernel_name="warm",
            kernel_manager_class=PromptManager,
            progress_bar=False,
        )
        sys.stdout.write(f"{notebook.stem}: {time.monotonic() - begun:.1f} s\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
