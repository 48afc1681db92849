"""Narrows a bill of materials to what one program is built from.

    cargo tree -p PACKAGE --edges normal --prefix none --format {p} | bill_of_materials.py SBOM URL-OF-THE-SOURCES

cargo-cyclonedx lists what the features of the whole workspace bring; a program that is built by itself has fewer.
"""

import json
import sys

path, sources = sys.argv[1:]
# "name v1.2.3 (proc-macro) (*)"
built = {tuple(line.split()[:2]) for line in sys.stdin if line.strip()}

with open(path, encoding="utf-8") as file:
    bill = json.loads(file.read().replace(sources, "file:///zero-touch"))


def identity(component):
    return component["name"], "v" + component["version"]


root = bill["metadata"]["component"]
bill["components"] = [component for component in bill["components"] if identity(component) in built]
kept = [root, *bill["components"]]
missing = built - {identity(component) for component in kept}
if missing:
    sys.exit(f"{path} leaves out {sorted(missing)}")

refs = {component["bom-ref"] for component in kept}
bill["dependencies"] = [
    {**edge, "dependsOn": [ref for ref in edge.get("dependsOn", []) if ref in refs]}
    for edge in bill["dependencies"]
    if edge["ref"] in refs
]
json.dump(bill, sys.stdout, indent=2)
print()
