"""What a report about advisories complains of."""

import json


def audited(report, errors):
    """What pip-audit complains of. It counts a version of which its service knows nothing as clean; here it is not."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return [
            "the advisory service could not be asked: " + (errors.strip().splitlines() or ["no answer"])[-1]
        ]
    found = [
        f"{p['name']} {p['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'no version yet'}"
        for p in packages
        for v in p.get("vulns", [])
    ]
    unknown = [p["name"] for p in packages if "skip_reason" in p]
    if unknown:
        found.append(
            f"the advisory service knows nothing of {len(unknown)} of {len(packages)} packages ({unknown[0]}, …): "
            "can it be reached from here?"
        )
    return found if packages else ["no package was looked at"]
