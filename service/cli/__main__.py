"""`python -m service.cli` is `okdhp`, also where its script is not on the path."""

from service.cli import main

main()
