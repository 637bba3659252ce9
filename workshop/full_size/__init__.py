"""The rehearsal at full size: everything of the mi300x path that does not depend on what the weights know."""
