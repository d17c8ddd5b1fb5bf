"""`python -m bot.cli` is `torchwarden`, also where no console script is installed."""

from bot.cli import main

main()
