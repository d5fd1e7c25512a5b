"""guest_test: a GoogleTest binary that runs on plain Linux and, unchanged, in the sandbox."""

def guest_test(name, linkopts = [], static = True):
    """Builds name.cc as one program. Never run by `bazel test`: test/syscalls/run does."""
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        copts = [
            "-O1",
            "-fno-sanitize=all",
            "-Wno-unused-result",
            "-Wno-nonnull",
            "-U_FORTIFY_SOURCE",
        ],
        linkopts = (["-static"] if static else []) + [
            "-fno-sanitize=all",
            "-Wno-unused-command-line-argument",  # -pie, of the toolchain
        ] + linkopts,
        deps = ["//test/util:test_util"],
    )
