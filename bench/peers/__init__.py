"""The same work done by emul and by others, in one run; each is skipped where it is not installed.

Every peer is a module that can be run by itself and prints one line of JSON. Its result is checked
against exact data, or its modelled total against a closed form, before it is timed.
"""
