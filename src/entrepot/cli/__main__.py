"""`python -m entrepot.cli`."""

from entrepot.cli import main

if __name__ == "__main__":
    main()
