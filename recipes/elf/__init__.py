"""What an ELF file says.

`parse` and `read` are the way in; they read what a loader reads.
"""

from recipes.elf.dynsym import SymbolKind
from recipes.elf.header import MAGIC, ElfError
from recipes.elf.reader import ElfFile, parse, read

__all__ = ["MAGIC", "ElfError", "ElfFile", "SymbolKind", "parse", "read"]
