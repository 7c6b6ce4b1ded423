"""``python -m emul``: the command line."""

from emul.cli.main import run

if __name__ == "__main__":
    run()
