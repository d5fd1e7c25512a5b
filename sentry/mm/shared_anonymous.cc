#include <algorithm>
#include <atomic>
#include <map>

#include "sentry/mm/mapping_set.h"
#include "sentry/mm/memory_manager.h"

namespace runsc {
namespace {

// Pages of MAP_SHARED | MAP_ANONYMOUS: places in the memory file, taken in large pieces when
// first asked for and kept until the last mapping is gone.
class SharedAnonymous : public Mappable {
 public:
  SharedAnonymous(MemoryFile& memory, uint64_t size) : memory_(memory), size_(PageUp(size)) {}

  ErrnoOr<Backing> Translate(uint64_t offset, uint64_t length, Access) override {
    if (offset >= size_) return Errno::kNxio;
    MutexLock lock(mu_);
    const uint64_t piece = offset / kPiece * kPiece;
    auto it = pieces_.find(piece);
    if (it == pieces_.end()) {
      uint64_t bytes = std::min(kPiece, size_ - piece);
      FileRange pages = TRY(memory_.Allocate(bytes));
      it = pieces_.emplace(piece, pages).first;
    }
    uint64_t skip = offset - piece;
    Backing b;
    b.fd = memory_.fd();
    b.offset = it->second.start + skip;
    b.length = it->second.size() - skip;
    b.sentry = memory_.At(b.offset);
    b.writable = true;
    b.reusable = true;
    return b;
  }

  Status AddMapping(MappingSpace*, AddrRange, uint64_t, bool) override { return Ok(); }
  void RemoveMapping(MappingSpace*, AddrRange, uint64_t, bool) override {}
  Status SyncMapped(uint64_t, uint64_t) override { return Ok(); }

  Status PunchHole(uint64_t start, uint64_t end) override {
    MutexLock lock(mu_);
    for (auto& [at, pages] : pieces_) {
      uint64_t from = std::max(start, at);
      uint64_t to = std::min(end, at + pages.size());
      if (from < to) memory_.Decommit({pages.start + (from - at), pages.start + (to - at)});
    }
    return Ok();
  }

  // As Linux names it: a file of the internal tmpfs.
  Identity MappedIdentity() override {
    Identity id;
    id.dev = {0, 1};
    id.ino = ino_;
    id.name = "/dev/zero (deleted)";
    return id;
  }

 private:
  static constexpr uint64_t kPiece = uint64_t{64} << 20;

  ~SharedAnonymous() override {
    for (auto& [at, pages] : pieces_) memory_.DecRef(pages);
  }

  static uint64_t NextIno() {
    static std::atomic<uint64_t> next{1024};
    return next.fetch_add(1, std::memory_order_relaxed);
  }

  MemoryFile& memory_;
  const uint64_t size_;
  const uint64_t ino_ = NextIno();
  Mutex<LockRank::kMappable> mu_;
  std::map<uint64_t, FileRange> pieces_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

Ref<Mappable> NewSharedAnonymous(MemoryFile& memory, uint64_t size) {
  return MakeRef<SharedAnonymous>(memory, size);
}

}  // namespace runsc
