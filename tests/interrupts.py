"""Ends what another thread does, as an interrupt of that thread would."""

import ctypes


class StopError(Exception):
    pass


def stop(thread):
    """Raise StopError in ``thread``, which must end by it."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(StopError)
    )
    thread.join(timeout=60)
    assert not thread.is_alive()
