"""What the local service rests on.

Names, keys, signatures, certificates, errors, and arguments that are looked at before they are used.
"""
