"""What the checks share: the tracked files, and the layers of DESIGN.md section 2."""
import functools
import subprocess

LAYERS = ["platform", "gofer", "sentry", "syscalls", "runsc", "test"]
PRODUCT = LAYERS[:-1]
CODE = (".cc", ".h", ".S", ".c", ".inc", ".def")


@functools.lru_cache(maxsize=None)
def tracked():
    """All files git knows or would add, as paths from the top."""
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout
    return sorted(set(out.split("\n")) - {""})


@functools.lru_cache(maxsize=None)
def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:  # Deleted but not yet committed.
        return ""


def code_files(layers=LAYERS + ["bench"]):
    return [path for path in tracked()
            if path.endswith(CODE) and path.split("/")[0] in layers]


def layer(path):
    """Index of the path's layer; bench counts as test; None outside the layers."""
    top = path.split("/")[0]
    top = "test" if top == "bench" else top
    return LAYERS.index(top) if top in LAYERS else None


def is_test(path):
    stem = path.rsplit(".", 1)[0]
    name = stem.rsplit("/", 1)[-1]
    return (layer(path) == len(LAYERS) - 1 or name.startswith(("test_", "fake_")) or "_test" in name
            or "/contract/" in path)
