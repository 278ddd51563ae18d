"""`python -m rabtriever_core.cli`."""

from rabtriever_core.cli import main

if __name__ == "__main__":
    main()
