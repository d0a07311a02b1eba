"""`python -m ganscope` is the command `ganscope`."""

from ganscope.cli.main import main

if __name__ == "__main__":
    main()
