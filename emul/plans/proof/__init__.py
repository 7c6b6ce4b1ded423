"""The proof that a plan computes the promise of its collective, before it runs."""
