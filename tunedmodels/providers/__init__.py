"""The services that hold tuned models, behind one contract."""

import sys

# If rich and click are installed, httpx imports its command line, which takes 70 ms. With None in
# sys.modules that import fails, and httpx continues without a command line.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is missing in typeshed
