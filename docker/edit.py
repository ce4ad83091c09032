"""Replace one text in one file of an unpacked source, as often as the recipe says and not once more or less."""

import sys
from pathlib import Path

path, times, find, put = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if not path.is_file():
    sys.exit(f"edit: {path} is not there: this release keeps it elsewhere")
text = path.read_text(encoding="utf-8")
if (found := text.count(find)) != times:
    sys.exit(f"edit: {path} has {found} of the {times} places to change: the text of this release is another")
path.write_text(text.replace(find, put), encoding="utf-8")
print(f"edit: {path}: {times} replaced")
