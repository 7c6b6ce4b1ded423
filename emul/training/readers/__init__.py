"""Readers of workloads that other tools describe, layer by layer or event by event."""
