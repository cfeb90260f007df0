"""``python -m web`` is ``fernwart``."""

from web.entry import main

if __name__ == "__main__":
    main()
