"""Packs a file or a folder into a zip or tar.gz, the same bytes from the same content.

    python pack.py ARCHIVE PATH [EXECUTABLE ...]

Names in the archive begin with the last part of PATH. Files with the name of an EXECUTABLE can be run. Each entry has the time
SOURCE_DATE_EPOCH and no owner.
"""

import gzip
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path

archive, top, *executables = sys.argv[1:]
top, epoch = Path(top), int(os.environ["SOURCE_DATE_EPOCH"])
paths = sorted([top, *top.rglob("*")], key=Path.as_posix)
entries = [
    (path, path.relative_to(top.parent).as_posix(), 0o755 if path.is_dir() or path.name in executables else 0o644)
    for path in paths
]

if archive.endswith(".zip"):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path, name, mode in entries:
            if path.is_file():
                entry = zipfile.ZipInfo(name, time.gmtime(epoch)[:6])
                # Regular file, made on Unix wherever it is made.
                entry.external_attr, entry.create_system = (0o100000 | mode) << 16, 3
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, path.read_bytes(), compresslevel=9)
else:
    with (
        open(archive, "wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as packed,
    ):
        for path, name, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = mode, epoch
            if path.is_dir():
                entry.type = tarfile.DIRTYPE
                packed.addfile(entry)
            else:
                entry.size = path.stat().st_size
                with open(path, "rb") as content:
                    packed.addfile(entry, content)
