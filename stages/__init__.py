"""The pipeline, and nothing else: a module, or a package with `__main__`, is one DVC stage. What only one stage uses lives in its
package; what several use lives in `weighbridge`."""

import os

# pydantic looks through all that is installed for plugins, which may send what they see: none is asked for by a stage
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
