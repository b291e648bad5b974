"""Install a kernel specification: `python -m cxreport.publish.kernels install --name warm --import pandas`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager


def specification(name: str, imports: list[str]) -> dict[str, object]:
    """Return the content of a `kernel.json` for warm kernels of this interpreter."""
    return {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python 3 ({name})",
        "language": "python",
        "metadata": {
            "kernel_provisioner": {"provisioner_name": "cxreport-warm", "config": {"imports": imports}},
            "debugger": True,
        },
    }


def main() -> None:
    """Write the specification to the user's kernels, or under `--prefix`, and print where."""
    parser = argparse.ArgumentParser(prog="python -m cxreport.publish.kernels", description=__doc__)
    install = parser.add_subparsers(required=True).add_parser("install", help="install a kernel specification")
    install.add_argument("--name", default="warm", help="the kernel's name")
    install.add_argument("--import", dest="imports", action="append", default=[], help="a module to import ahead")
    install.add_argument("--prefix", help="an environment's folder instead of the user's")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        content = json.dumps(specification(asked.name, asked.imports), indent=1)
        (Path(folder) / "kernel.json").write_text(content, encoding="utf-8")
        place = KernelSpecManager().install_kernel_spec(folder, asked.name, user=not asked.prefix, prefix=asked.prefix)
    sys.stdout.write(f"{place}\n")


if __name__ == "__main__":
    main()
