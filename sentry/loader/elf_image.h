#ifndef SENTRY_LOADER_ELF_IMAGE_H_
#define SENTRY_LOADER_ELF_IMAGE_H_

#include <elf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sentry/loader/exec_file.h"
#include "sentry/mm/memory_manager.h"

namespace runsc {

// Headers of an ELF file; everything in them is hostile.
struct ElfImage {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;

  bool position_independent() const { return header.e_type == ET_DYN; }
  // Whether PT_GNU_STACK asks for an executable stack.
  bool wants_exec_stack() const;
};

// Reads a program's headers. `error`: what Linux answers if they are not those of a 64-bit x86
// program: ENOEXEC, or ELIBBAD for an interpreter.
ErrnoOr<ElfImage> ReadElf(const ExecFile& file, Errno error);
// The interpreter that the first PT_INTERP names. ENOEXEC, EIO.
ErrnoOr<std::optional<std::string>> ReadInterpreter(const ExecFile& file, const ElfImage& image);

// Where an image came to lie.
struct ElfPlacement {
  uint64_t bias = 0;         // added to the file's addresses
  uint64_t entry = 0;
  uint64_t headers = 0;      // address of the program headers, 0 if no segment has them
  uint64_t start_code = ~uint64_t{0}, end_code = 0, start_data = 0, end_data = 0, end = 0;
};

struct ElfMapOptions {
  bool has_interpreter = false;
  bool is_interpreter = false;
  bool randomize = true;
  MemoryLimits limits;
};

// Maps the image's segments into `mm`. Any error kills the program on Linux.
ErrnoOr<ElfPlacement> MapElf(MemoryManager& mm, const ExecFile& file, const ElfImage& image,
                             const ElfMapOptions& options);

}  // namespace runsc

#endif  // SENTRY_LOADER_ELF_IMAGE_H_
