"""`python -m cxreport` is the command line."""

from cxreport.cli import main

if __name__ == "__main__":
    main()
