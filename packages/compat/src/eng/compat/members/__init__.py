"""Attributes and methods of MMEngine's classes that libraries use and that the classes of eng lack.

Each module has a table ``MEMBERS``: name of a class of eng -> class whose attributes :mod:`eng.compat._furnish` adds.
"""
