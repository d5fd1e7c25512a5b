#include "sentry/loader/vdso_pages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sentry/time/time_keeper.h"
#include "sentry/time/vdso.h"

namespace runsc {
namespace {

constexpr uint64_t kDataSize = kPageSize;

class VdsoPages final : public Mappable {
 public:
  VdsoPages(MemoryFile& memory, FileRange pages) : memory_(memory), pages_(pages) {}

  ErrnoOr<Backing> Translate(uint64_t offset, uint64_t length, Access want) override {
    if (offset >= pages_.size()) return Errno::kNxio;
    Backing b;
    b.fd = memory_.fd();
    b.offset = pages_.start + offset;
    b.length = pages_.size() - offset;
    b.sentry = memory_.At(b.offset);
    return b;
  }
  Status AddMapping(MappingSpace*, AddrRange, uint64_t, bool) override { return Ok(); }
  void RemoveMapping(MappingSpace*, AddrRange, uint64_t, bool) override {}
  Status SyncMapped(uint64_t, uint64_t) override { return Ok(); }
  Identity MappedIdentity() override { return {}; }

 private:
  // The pages stay: the time keeper writes to them.
  MemoryFile& memory_;
  const FileRange pages_;
};

}  // namespace

ErrnoOr<Ref<Mappable>> NewVdsoPages(MemoryFile& memory, uint32_t cpus) {
  const auto image = VdsoImage();
  const FileRange pages = TRY(memory.Allocate(kDataSize + image.size()));
  std::memcpy(memory.At(pages.start + kDataSize), image.data(), image.size());
  TimeKeeper::Get().AttachPage(memory.At(pages.start), cpus);
  return Ref<Mappable>(MakeRef<VdsoPages>(memory, pages));
}

ErrnoOr<UserAddr> MapVdso(MemoryManager& mm, const Ref<Mappable>& pages,
                          const MemoryLimits& limits) {
  MMapRequest r;
  r.length = kDataSize + VdsoImage().size();
  r.access = {.read = true};
  r.max_access = {.read = true};
  r.file = pages;
  r.name = "[vvar]";
  const UserAddr at = TRY(mm.MMap(r, limits));
  // Over its second part, with what code needs; debuggers may write breakpoints into a copy.
  r.addr = at + kDataSize;
  r.length -= kDataSize;
  r.fixed = true;
  r.offset = kDataSize;
  r.access = {.read = true, .exec = true};
  r.max_access = {true, true, true};
  r.name = "[vdso]";
  return mm.MMap(r, limits);
}

}  // namespace runsc
