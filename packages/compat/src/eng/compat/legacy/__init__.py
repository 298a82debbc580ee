"""Modules and helper names of MMEngine 0.10.7 that only code written for it imports.

Each module answers for one module path of the reference; :mod:`eng.compat._routes` and ``reexports.json`` say which.
"""
