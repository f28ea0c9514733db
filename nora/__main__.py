"""`python -m nora`."""

from nora.cli import main

if __name__ == "__main__":
    main(prog_name="nora")
