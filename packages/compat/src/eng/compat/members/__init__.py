"""Members of MMEngine's classes that libraries read, assign, call or override and that eng's own classes do not need.

Each module has ``MEMBERS``: name of a class of eng -> a class whose attributes :mod:`eng.compat._furnish` adds to it.
"""
