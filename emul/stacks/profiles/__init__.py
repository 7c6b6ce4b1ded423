"""Profiles of stacks as data."""
