"""``python -m agents`` is ``fernwart-agent``."""

from agents.cli import main

if __name__ == "__main__":
    main()
