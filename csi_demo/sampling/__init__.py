"""Drawing the pixels of a PixelCNN: the plain reference, row by row in torch, and compiled."""

import os

# Where colorama is installed numba would put streams of its own in the place of sys.stdout and sys.stderr for as long
# as it words an error, also one that it catches itself. The kernel is made ready beside other work, whose lines would
# go astray. To be said before numba is imported.
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
