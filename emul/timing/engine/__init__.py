"""The scheduler: when each transfer starts and arrives, compiled."""
