"""Checks that ask Bazel."""
import os
import subprocess

import tree


def target_direction():
    """no target is public, and no layer's target depends on a layer to its right"""
    present = [name for name in tree.PRODUCT
               if any(p.startswith(name + "/") and p.endswith("BUILD.bazel")
                      for p in tree.tracked())]
    parts = [f'attr(visibility, "//visibility:public", kind("cc_.*", //{name}/...))' for name in present]
    for index, name in enumerate(present[:-1]):
        right = " + ".join(f"//{other}/..." for other in present[index + 1:])
        parts.append(f"(deps(//{name}/...) intersect ({right}))")
    if not parts:
        return []
    result = subprocess.run(
        ["bazel", "query", "--noimplicit_deps", "--keep_going", " + ".join(parts)],
        capture_output=True, text=True, env=dict(os.environ, PATH="/usr/bin:/bin"))
    bad = [line for line in result.stdout.splitlines() if line.startswith("//")]
    if result.returncode != 0:
        bad.append("bazel query failed: " + result.stderr.strip().splitlines()[-1])
    return bad


CHECKS = [target_direction]
