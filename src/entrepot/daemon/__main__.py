"""`python -m entrepot.daemon`."""

from entrepot.daemon import main

main()
