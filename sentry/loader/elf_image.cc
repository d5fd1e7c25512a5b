#include "sentry/loader/elf_image.h"

#include <climits>
#include <cstring>

namespace runsc {
namespace {

// More than this of program headers is no program (load_elf_phdrs).
constexpr size_t kMaxHeaderBytes = 65536;

}  // namespace

bool ElfImage::wants_exec_stack() const {
  bool exec = false;
  for (const Elf64_Phdr& p : segments) {
    if (p.p_type == PT_GNU_STACK) exec = (p.p_flags & PF_X) != 0;
  }
  return exec;
}

ErrnoOr<ElfImage> ReadElf(const ExecFile& file, Errno error) {
  ElfImage image;
  Elf64_Ehdr& h = image.header;
  // A program is recognised by its first 256 bytes, zeros after the end; an interpreter is read.
  if (error == Errno::kLibbad) {
    TRY(file.ReadExact(&h, sizeof(h), 0));
  } else {
    const auto head = TRY(file.ReadHead());
    std::memcpy(&h, head.data(), sizeof(h));
  }
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0) return error;
  if (h.e_machine != EM_X86_64) return error;
  const bool type_ok = h.e_type == ET_EXEC || h.e_type == ET_DYN;
  if (!type_ok && error != Errno::kLibbad) return error;
  const size_t bytes = size_t{h.e_phnum} * sizeof(Elf64_Phdr);
  if (h.e_phentsize != sizeof(Elf64_Phdr) || bytes == 0 || bytes > kMaxHeaderBytes) return error;
  image.segments.resize(h.e_phnum);
  if (!file.ReadExact(image.segments.data(), bytes, h.e_phoff).ok()) return error;
  return image;
}

ErrnoOr<std::optional<std::string>> ReadInterpreter(const ExecFile& file, const ElfImage& image) {
  for (const Elf64_Phdr& p : image.segments) {
    if (p.p_type != PT_INTERP) continue;
    if (p.p_filesz > PATH_MAX || p.p_filesz < 2) return Errno::kNoexec;
    std::string name(p.p_filesz, '\0');
    TRY(file.ReadExact(name.data(), name.size(), p.p_offset));
    if (name.back() != '\0') return Errno::kNoexec;
    name.resize(std::strlen(name.c_str()));
    return std::optional<std::string>(std::move(name));
  }
  return std::optional<std::string>();
}

}  // namespace runsc
