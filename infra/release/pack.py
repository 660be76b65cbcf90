"""Packs folders into zips beside them: pack.py FOLDER...

Equal content gives equal zips: the files are sorted, and have no times, owners or permissions of the machine.
"""

import stat
import sys
import zipfile
from pathlib import Path

# The earliest time that a zip can hold.
NO_TIME = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def pack(folder):
    """Packs a folder and returns the zip's path. Every file can be executed, as Lambda requires of `bootstrap`."""
    folder = Path(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    if not files:
        raise FileNotFoundError(f"{folder} has no files to pack")
    target = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for name in files:
            path = folder / name
            if path.is_symlink():
                raise ValueError(f"{path} is a symbolic link, whose target is not in the zip")
            entry = zipfile.ZipInfo(name, NO_TIME)
            entry.create_system = UNIX
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return target


def main(folders):
    """Packs each folder, and prints the zip's path."""
    if not folders:
        sys.exit("usage: pack.py FOLDER...")
    for folder in folders:
        try:
            print(pack(folder))
        except (OSError, ValueError) as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
