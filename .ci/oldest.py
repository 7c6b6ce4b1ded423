"""Prints the oldest versions that pyproject.toml allows, as constraints of pip.

python .ci/oldest.py > oldest.txt && PIP_CONSTRAINT=$PWD/oldest.txt pip install -e '.[test]'
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).parent.parent


def lower_bounds(requirements: list[str]) -> dict[str, str]:
    """Return the version behind the first ``>=`` of each requirement, by the package's name."""
    bounds = {}
    for requirement in requirements:
        name, version = re.match(r"([\w.-]+)\s*>=\s*([\w.]+)", requirement).groups()
        bounds[name] = version
    return bounds


def main() -> None:
    """Print one constraint per package that the tests, the build and the program need."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    needed = [
        *pyproject["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["calibrate"],
        *project["optional-dependencies"]["test"],
    ]
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in lower_bounds(needed).items())


if __name__ == "__main__":
    main()
