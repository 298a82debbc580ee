"""Modules and helper functions of MMEngine 0.10.7 that only code written for MMEngine imports.

Each module replaces one module of MMEngine; :mod:`eng.compat._routes` and ``reexports.json`` say which.
"""
