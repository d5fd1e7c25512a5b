// Mapping of segments, as load_elf_binary and load_elf_interp do it. Arithmetic on the file's
// numbers wraps as theirs does; MemoryManager refuses what does not fit.
#include <algorithm>

#include "platform/base/types.h"
#include "sentry/loader/elf_image.h"

namespace runsc {
namespace {

constexpr uint64_t kTaskSize = (uint64_t{1} << 47) - kPageSize;

bool BadAddress(uint64_t a) { return a >= kTaskSize; }
uint64_t PageOffset(uint64_t v) { return v & kPageMask; }

Access SegmentAccess(const Elf64_Phdr& p) {
  return {(p.p_flags & PF_R) != 0, (p.p_flags & PF_W) != 0, (p.p_flags & PF_X) != 0};
}

// Bytes from the first segment's page to the last one's end; 0 without segments.
uint64_t TotalSize(const ElfImage& image) {
  uint64_t low = ~uint64_t{0};
  uint64_t high = 0;
  bool any = false;
  for (const Elf64_Phdr& p : image.segments) {
    if (p.p_type != PT_LOAD) continue;
    low = std::min(low, PageDown(p.p_vaddr));
    high = std::max(high, p.p_vaddr + p.p_memsz);
    any = true;
  }
  return any ? high - low : 0;
}

uint64_t MaxAlignment(const ElfImage& image) {
  uint64_t alignment = 0;
  for (const Elf64_Phdr& p : image.segments) {
    const bool power_of_two = p.p_align != 0 && (p.p_align & (p.p_align - 1)) == 0;
    if (p.p_type == PT_LOAD && power_of_two) alignment = std::max<uint64_t>(alignment, p.p_align);
  }
  return PageUp(alignment);
}

enum class Fix { kNo, kReplace, kNoReplace };

class Mapper {
 public:
  Mapper(MemoryManager& mm, const ExecFile& file, const MemoryLimits& limits)
      : mm_(mm), file_(file), limits_(limits) {}

  // elf_load: maps one segment at `addr`, with room for `total` bytes if that is not 0, and zeroes
  // what memory it has beyond the file. Answers the address of its first page.
  ErrnoOr<uint64_t> Load(const Elf64_Phdr& p, uint64_t addr, Fix fix, uint64_t total) {
    uint64_t map = PageDown(addr);
    uint64_t zero_start = map + PageOffset(p.p_vaddr);
    if (p.p_filesz != 0) {
      map = TRY(MapFilePart(p, addr, fix, total));
      zero_start = map + PageOffset(p.p_vaddr) + p.p_filesz;
      if (p.p_memsz > p.p_filesz) {
        const uint64_t rest = PageOffset(0 - zero_start);
        if (rest != 0) {
          ErrnoOr<size_t> zeroed = mm_.ZeroPartial(UserAddr(zero_start), rest);
          const bool done = zeroed.ok() && *zeroed == rest;
          if (!done && (p.p_flags & PF_W) != 0) return Errno::kFault;
        }
      }
    }
    if (p.p_memsz > p.p_filesz) {
      const uint64_t start = PageUp(zero_start);
      const uint64_t end = PageUp(map + PageOffset(p.p_vaddr) + p.p_memsz);
      TRY(MapZero(start, end - start, (p.p_flags & PF_X) != 0));
    }
    return map;
  }

  void Unmap(uint64_t addr, uint64_t length) { (void)mm_.MUnmap(UserAddr(addr), length); }

 private:
  // elf_map
  ErrnoOr<uint64_t> MapFilePart(const Elf64_Phdr& p, uint64_t addr, Fix fix, uint64_t total) {
    const uint64_t size = PageUp(p.p_filesz + PageOffset(p.p_vaddr));
    if (size == 0) return PageDown(addr);
    MMapRequest r;
    r.addr = UserAddr(PageDown(addr));
    r.length = total != 0 ? PageUp(total) : size;
    r.access = SegmentAccess(p);
    r.fixed = fix == Fix::kReplace;
    r.fixed_noreplace = fix == Fix::kNoReplace;
    r.offset = p.p_offset - PageOffset(p.p_vaddr);
    r.file = TRY(file_.Map(r.access));
    const uint64_t at = TRY(mm_.MMap(r, limits_)).value;
    if (r.length > size) Unmap(at + size, r.length - size);
    return at;
  }

  // vm_brk_flags
  Status MapZero(uint64_t addr, uint64_t length, bool exec) {
    if (length == 0) return Ok();
    MMapRequest r;
    r.addr = UserAddr(addr);
    r.length = length;
    r.access = {.read = true, .write = true, .exec = exec};
    r.fixed = true;
    TRY(mm_.MMap(r, limits_));
    return Ok();
  }

  MemoryManager& mm_;
  const ExecFile& file_;
  const MemoryLimits& limits_;
};

// Where the first segment of an image goes, and how firmly.
struct Start {
  uint64_t bias = 0;
  Fix fix = Fix::kNo;
};

ErrnoOr<Start> ChooseStart(MemoryManager& mm, Mapper& mapper, const ElfImage& image,
                           const Elf64_Phdr& first, const ElfMapOptions& o, uint64_t total) {
  Start s;
  if (!image.position_independent()) {
    s.fix = o.is_interpreter ? Fix::kReplace : Fix::kNoReplace;
    return s;
  }
  if (total == 0) return Errno::kInval;
  if (o.is_interpreter) {
    s.bias = 0 - first.p_vaddr;
    return s;
  }
  const uint64_t alignment = MaxAlignment(image);
  if (o.has_interpreter) {
    s.bias = mm.ChoosePieBase(o.randomize).value;
    if (alignment != 0) s.bias &= ~(alignment - 1);
    s.fix = Fix::kNoReplace;
  } else if (alignment > kPageSize) {
    // Tried out where it would go, then moved to where it is aligned.
    s.bias = TRY(mapper.Load(first, 0, Fix::kNo, total));
    mapper.Unmap(s.bias, total);
    s.bias &= ~(alignment - 1);
    s.fix = Fix::kNoReplace;
  }
  s.bias = PageDown(s.bias - first.p_vaddr);
  return s;
}

bool SizesFit(const Elf64_Phdr& p, uint64_t at) {
  return !BadAddress(at) && p.p_filesz <= p.p_memsz && p.p_memsz <= kTaskSize &&
         kTaskSize - p.p_memsz >= at;
}

void Account(ElfPlacement& out, const ElfImage& image, const Elf64_Phdr& p) {
  const uint64_t phoff = image.header.e_phoff;
  if (p.p_offset <= phoff && phoff < p.p_offset + p.p_filesz) {
    out.headers = phoff - p.p_offset + p.p_vaddr;
  }
  const bool exec = (p.p_flags & PF_X) != 0;
  if (exec) out.start_code = std::min<uint64_t>(out.start_code, p.p_vaddr);
  out.start_data = std::max<uint64_t>(out.start_data, p.p_vaddr);
  const uint64_t file_end = p.p_vaddr + p.p_filesz;
  if (exec) out.end_code = std::max(out.end_code, file_end);
  out.end_data = std::max(out.end_data, file_end);
  out.end = std::max(out.end, p.p_vaddr + p.p_memsz);
}

}  // namespace

ErrnoOr<ElfPlacement> MapElf(MemoryManager& mm, const ExecFile& file, const ElfImage& image,
                             const ElfMapOptions& o) {
  Mapper mapper(mm, file, o.limits);
  ElfPlacement out;
  const uint64_t total = TotalSize(image);
  const bool type_ok = image.header.e_type == ET_EXEC || image.header.e_type == ET_DYN;
  if (!type_ok || (o.is_interpreter && total == 0)) return Errno::kInval;
  bool first = true;
  for (const Elf64_Phdr& p : image.segments) {
    if (p.p_type != PT_LOAD) continue;
    Start start{out.bias, Fix::kReplace};
    if (first) start = TRY(ChooseStart(mm, mapper, image, p, o, total));
    const uint64_t wanted = start.bias + p.p_vaddr;
    const bool whole = first && (image.position_independent() || o.is_interpreter);
    const uint64_t at = TRY(mapper.Load(p, wanted, start.fix, whole ? total : 0));
    if (BadAddress(at)) return Errno::kInval;
    if (first) {
      out.bias = image.position_independent() ? start.bias + (at - PageDown(wanted)) : 0;
      first = false;
    }
    Account(out, image, p);
    if (!SizesFit(p, o.is_interpreter ? out.bias + p.p_vaddr : p.p_vaddr)) return Errno::kInval;
  }
  for (uint64_t* v : {&out.start_code, &out.end_code, &out.start_data, &out.end_data, &out.end}) {
    *v += out.bias;
  }
  if (out.headers != 0) out.headers += out.bias;
  out.entry = image.header.e_entry + out.bias;
  // With an interpreter the program's own entry point is only a number that it is told.
  if (!o.has_interpreter && BadAddress(out.entry)) return Errno::kInval;
  return out;
}

}  // namespace runsc
