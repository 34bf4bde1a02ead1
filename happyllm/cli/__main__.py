"""`python -m happyllm.cli`, as torchrun starts it."""

from happyllm.cli import main

if __name__ == "__main__":
    main()
