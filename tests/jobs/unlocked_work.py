"""`entrepotd work` on a machine without bubblewrap."""

from entrepot.core.conversions.sandbox import _command
from entrepot.daemon import main

if __name__ == "__main__":
    _command.find_bwrap = lambda: None
    main()
