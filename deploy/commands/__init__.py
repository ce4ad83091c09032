"""What people type; tasks.py composes it.

The invoke tasks: parse flags, call one function, turn a UserError into a message and its exit code.
"""
