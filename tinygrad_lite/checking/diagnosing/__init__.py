"""Where a wrong gradient goes wrong, and which mistake explains it."""
