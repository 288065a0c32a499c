"""`python -m cnnaudit`."""

from cnnaudit.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
