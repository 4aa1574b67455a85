"""The embedded default: every service on one machine, started, watched and stopped by one process."""
