"""Writes an image as C++: embed.py IMAGE OUT.cc."""
import sys

PAGE = 4096
image = open(sys.argv[1], "rb").read()
image += bytes(-len(image) % PAGE)
rows = [", ".join(str(b) for b in image[i : i + 32]) for i in range(0, len(image), 32)]
with open(sys.argv[2], "w") as out:
    out.write('#include "sentry/time/vdso.h"\n\nnamespace runsc {\nnamespace {\n\n')
    out.write("alignas(4096) constexpr uint8_t kImage[] = {\n    ")
    out.write(",\n    ".join(rows))
    out.write("};\n\n}  // namespace\n\n")
    out.write("std::span<const uint8_t> VdsoImage() { return kImage; }\n\n}  // namespace runsc\n")
