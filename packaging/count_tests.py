"""Reads what ctest --output-junit wrote, for ./check: `passed N`, then a line `failed NAME` or
`skipped NAME` for each of the others. A test that could not be run has failed."""

import sys
import xml.etree.ElementTree as xml

report, preset = sys.argv[1:]
passed = 0
lines = []
for case in xml.parse(report).getroot().iter("testcase"):
    name = f"{preset}: {case.get('name')}"
    status = case.get("status")
    skipped = case.find("skipped")
    if status == "run":
        passed += 1
    elif status == "disabled":
        lines.append(f"skipped {name} (disabled)")
    elif status == "notrun" and skipped is not None and \
            skipped.get("message", "").startswith("SKIP_"):
        lines.append(f"skipped {name}")
    else:
        lines.append(f"failed {name}")
if not passed and not lines:
    sys.exit(1)
print(f"passed {passed}")
print("\n".join(lines))
