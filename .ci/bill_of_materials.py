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


def is_built(component):
    return (component["name"], "v" + component["version"]) in built


dropped = {component["bom-ref"] for component in bill["components"] if not is_built(component)}
bill["components"] = [component for component in bill["components"] if is_built(component)]
bill["dependencies"] = [
    {**edge, "dependsOn": [ref for ref in edge.get("dependsOn", []) if ref not in dropped]}
    for edge in bill["dependencies"]
    if edge["ref"] not in dropped
]

listed = {(component["name"], "v" + component["version"]) for component in bill["components"]}
root = bill["metadata"]["component"]
missing = built - listed - {(root["name"], "v" + root["version"])}
if missing:
    sys.exit(f"{path} leaves out {sorted(missing)}")
json.dump(bill, sys.stdout, indent=2)
print()
