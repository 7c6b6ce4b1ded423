"""Checks the contents of a wheel: ``python .ci/wheel.py emul-*.whl``, from the root of a checkout.

It has to hold the Python files, the compiled modules and the data of the packages, and nothing
else: no generated C, no tests, no pages of the documentation.
"""

import re
import subprocess
import sys
import zipfile

MOST_BYTES = 8_000_000
"""Four times the size of the wheel for Linux, whose modules are stripped of nothing."""

KINDS = r"py|pyi|typed|toml|md|cu|cuh|css|h|pxd"


def wanted() -> set[str]:
    """Return the names of the files of the packages, but for the sources of compiled modules."""
    listed = subprocess.run(
        ["git", "ls-files", "emul", "kernels"], capture_output=True, text=True, check=True
    ).stdout.split()
    names = {re.sub(r"^kernels/", "emul/kernels/", name) for name in listed}
    return {name for name in names if re.search(rf"\.({KINDS})$", name)}


def compiled() -> set[str]:
    """Return the compiled modules, without the ending of the platform."""
    listed = subprocess.run(
        ["git", "ls-files", "emul/*.pyx"], capture_output=True, text=True, check=True
    ).stdout.split()
    return {name.removesuffix(".pyx") for name in listed}


def main(path: str) -> int:
    """Print each fault of the wheel; return 1 if there is one."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        nbytes = sum(entry.compress_size for entry in wheel.infolist())
    modules = {name for name in names if name.endswith((".so", ".pyd"))}
    there = {re.sub(r"\..*", "", name) for name in modules}
    faults = [f"{name} is missing" for name in sorted(wanted() - names)]
    faults += [f"{name} is not compiled" for name in sorted(compiled() - there)]
    faults += [f"{name} should not be there" for name in sorted(names - modules - wanted())]
    if nbytes > MOST_BYTES:
        faults.append(f"{nbytes} bytes: needed at most {MOST_BYTES}")
    print("\n".join(faults) or f"{path}: {len(names)} files, {nbytes / 1e6:.1f} MB")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
