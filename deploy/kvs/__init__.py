"""What every part of the local service rests on: names, keys, signatures, certificates, errors, faults on demand."""
