"""``python -m trindi`` is the same as ``trindi``."""

from trindi.cli import main

if __name__ == "__main__":
    main()
