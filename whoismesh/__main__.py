"""`python -m whoismesh`."""

import sys

from whoismesh.cli import main

sys.exit(main())
