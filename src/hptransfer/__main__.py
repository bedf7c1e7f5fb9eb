"""`python -m hptransfer`."""

from hptransfer.cli import main

main()
