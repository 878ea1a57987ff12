"""The one place where vcrpy is subclassed and patched: every HTTP request of the process passes through here."""
