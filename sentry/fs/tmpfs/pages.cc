#include "sentry/fs/tmpfs/pages.h"

#include <fcntl.h>

#include <algorithm>

#include "absl/container/btree_map.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxReserve = 4 << 20;
constexpr uint64_t kMapChunk = 2 << 20;      // filled at once for a mapping of a large hole
constexpr uint64_t kSmall = 64 << 10;        // comes from recycled pages

}  // namespace

struct TmpfsPages::Extents {
  struct Extent {
    uint64_t end;  // file offset
    uint64_t mem;  // memory file offset of its start
  };
  using Map = absl::btree_map<uint64_t, Extent>;
  Map map;

  // The extent that contains `at`, or the first above it.
  Map::iterator Find(uint64_t at) {
    auto it = map.upper_bound(at);
    if (it != map.begin()) {
      auto before = std::prev(it);
      if (before->second.end > at) return before;
    }
    return it;
  }
  // Adds, joining the extent before if it continues.
  void Add(uint64_t start, uint64_t end, uint64_t mem) {
    auto it = map.lower_bound(start);
    if (it != map.begin()) {
      auto before = std::prev(it);
      if (before->second.end == start &&
          before->second.mem + (start - before->first) == mem) {
        before->second.end = end;
        return;
      }
    }
    map.emplace(start, Extent{end, mem});
  }
};

uint64_t TmpfsSpace::TakePages(uint64_t n) {
  uint64_t limit = max_pages();
  if (limit == 0) {
    pages_.fetch_add(n, std::memory_order_relaxed);
    return n;
  }
  uint64_t old = pages_.load(std::memory_order_relaxed), granted;
  do {
    granted = old < limit ? std::min(n, limit - old) : 0;
  } while (!pages_.compare_exchange_weak(old, old + granted, std::memory_order_relaxed));
  return granted;
}

bool TmpfsSpace::TakeInode() {
  uint64_t limit = max_inodes();
  uint64_t old = inodes_.fetch_add(1, std::memory_order_relaxed);
  if (limit == 0 || old < limit) return true;
  inodes_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

Status TmpfsSpace::SetLimits(uint64_t max_pages, uint64_t max_inodes) {
  if (max_pages != 0 && max_pages < pages()) return Errno::kInval;
  if (max_inodes != 0 && max_inodes < inodes()) return Errno::kInval;
  max_pages_.store(max_pages, std::memory_order_relaxed);
  max_inodes_.store(max_inodes, std::memory_order_relaxed);
  return Ok();
}

TmpfsPages::TmpfsPages(MemoryFile& memory, Ref<TmpfsSpace> space)
    : memory_(memory), space_(std::move(space)), seals_(F_SEAL_SEAL), extents_(new Extents) {}

TmpfsPages::~TmpfsPages() {
  MutexLock l(mu_);
  DropReserveLocked();
  for (const auto& [start, e] : extents_->map) memory_.DecRef({e.mem, e.mem + (e.end - start)});
  space_->PutPages(page_count_);
}

uint64_t TmpfsPages::page_count() {
  MutexLock l(mu_);
  return page_count_;
}

TmpfsPages::Piece TmpfsPages::PieceAt(uint64_t offset, uint64_t end) {
  MutexLock l(mu_);
  auto it = extents_->Find(offset);
  if (it == extents_->map.end() || it->first >= end) return {nullptr, end - offset};
  if (it->first > offset) return {nullptr, it->first - offset};
  return {memory_.At(it->second.mem + (offset - it->first)),
          std::min(it->second.end, end) - offset};
}

ErrnoOr<size_t> TmpfsPages::Read(UserOut& dst, uint64_t offset) {
  uint64_t size = this->size();
  if (offset >= size) return size_t{0};
  uint64_t end = offset + std::min<uint64_t>(size - offset, dst.remaining());
  size_t done = 0;
  while (offset < end) {
    Piece p = PieceAt(offset, end);
    ErrnoOr<size_t> n =
        p.memory != nullptr ? dst.Write(p.memory, p.length) : dst.WriteZeros(p.length);
    if (!n.ok()) return done != 0 ? ErrnoOr<size_t>(done) : n.error();
    done += *n;
    offset += *n;
    if (*n < p.length) break;
  }
  return done;
}

void TmpfsPages::DropReserveLocked() {
  if (!reserve_.empty()) memory_.DecRef(reserve_);
  reserve_ = {};
}

// Memory for file offset `at`: from the reserve behind what is there, or fresh, with a reserve if
// the file is growing at its end.
ErrnoOr<FileRange> TmpfsPages::TakeLocked(uint64_t at, uint64_t bytes) {
  if (!reserve_.empty() && reserve_at_ == at) {
    FileRange out{reserve_.start, reserve_.start + std::min(bytes, reserve_.size())};
    reserve_.start = out.end;
    reserve_at_ = at + out.size();
    return out;
  }
  bool appends = at != 0 && !extents_->map.empty() && extents_->map.rbegin()->second.end == at;
  uint64_t extra =
      appends ? std::min(kMaxReserve, PageUp(page_count_ * kPageSize)) : 0;
  if (extra <= bytes) extra = 0;
  uint64_t want = std::max(bytes, extra);
  FileRange got = TRY(memory_.Allocate(want, want <= kSmall));
  if (extra != 0) {
    DropReserveLocked();
    reserve_ = {got.start + bytes, got.end};
    reserve_at_ = at + bytes;
    got.end = got.start + bytes;
  }
  return got;
}

ErrnoOr<uint64_t> TmpfsPages::FillLocked(uint64_t start, uint64_t end) {
  uint64_t at = start;
  while (at < end) {
    auto it = extents_->Find(at);
    if (it != extents_->map.end() && it->first <= at) {
      at = it->second.end;
      continue;
    }
    uint64_t hole_end = it == extents_->map.end() ? end : std::min(end, it->first);
    uint64_t pages = space_->TakePages((hole_end - at) / kPageSize);
    if (pages == 0) return at > start ? ErrnoOr<uint64_t>(at) : Errno::kNospc;
    ErrnoOr<FileRange> mem = TakeLocked(at, pages * kPageSize);
    if (!mem.ok()) {
      space_->PutPages(pages);
      return at > start ? ErrnoOr<uint64_t>(at) : Errno::kNospc;
    }
    uint64_t got = mem->size() / kPageSize;
    if (got < pages) space_->PutPages(pages - got);
    page_count_ += got;
    extents_->Add(at, at + mem->size(), mem->start);
    at += mem->size();
  }
  return end;
}

ErrnoOr<size_t> TmpfsPages::Write(UserIn& src, uint64_t offset) {
  size_t done = 0;
  Errno error = Errno::kOk;
  while (src.remaining() != 0) {
    uint64_t end = offset + src.remaining();
    Piece p = PieceAt(offset, end);
    if (p.memory == nullptr) {
      MutexLock l(mu_);
      ErrnoOr<uint64_t> filled = FillLocked(PageDown(offset), PageUp(offset + p.length));
      if (!filled.ok()) {
        error = filled.error();
        break;
      }
      continue;
    }
    ErrnoOr<size_t> n = src.Read(p.memory, p.length);
    if (!n.ok()) {
      error = n.error();
      break;
    }
    done += *n;
    offset += *n;
    if (*n < p.length) break;
  }
  if (done != 0 && offset > size()) {
    MutexLock l(mu_);
    size_.store(offset, std::memory_order_release);
  }
  if (done == 0 && error != Errno::kOk) return error;
  return done;
}

void TmpfsPages::CutLocked(uint64_t start, uint64_t end, std::vector<FileRange>& freed) {
  auto it = extents_->Find(start);
  while (it != extents_->map.end() && it->first < end) {
    uint64_t from = it->first;
    Extents::Extent e = it->second;
    uint64_t cut_from = std::max(from, start), cut_to = std::min(e.end, end);
    freed.push_back({e.mem + (cut_from - from), e.mem + (cut_to - from)});
    page_count_ -= (cut_to - cut_from) / kPageSize;
    extents_->map.erase(it);
    if (from < cut_from) extents_->map.emplace(from, Extents::Extent{cut_from, e.mem});
    if (cut_to < e.end) {
      extents_->map.emplace(cut_to, Extents::Extent{e.end, e.mem + (cut_to - from)});
    }
    it = extents_->Find(cut_to);
  }
}

void TmpfsPages::ZeroLocked(uint64_t start, uint64_t end) {
  while (start < end) {
    auto it = extents_->Find(start);
    if (it == extents_->map.end() || it->first >= end) return;
    start = std::max(start, it->first);
    uint64_t to = std::min(end, it->second.end);
    SafeZero(memory_.At(it->second.mem + (start - it->first)), to - start);
    start = to;
  }
}

void TmpfsPages::Remove(uint64_t start, uint64_t end, bool private_copies) {
  std::vector<FileRange> freed;
  uint64_t first = PageUp(start), last = end == UINT64_MAX ? end : PageDown(end);
  {
    MutexLock l(mu_);
    if (end != UINT64_MAX && first > last) {  // inside one page
      ZeroLocked(start, end);
    } else {
      ZeroLocked(start, first);
      if (end != UINT64_MAX) ZeroLocked(last, end);
      if (first < last) CutLocked(first, last, freed);
    }
  }
  if (first < last) mappings_.Invalidate(this, first, last, private_copies);
  uint64_t pages = 0;
  for (FileRange r : freed) {
    memory_.DecRef(r);
    pages += r.size() / kPageSize;
  }
  space_->PutPages(pages);
}

void TmpfsPages::Truncate(uint64_t size) {
  {
    MutexLock l(mu_);
    uint64_t old = this->size();
    size_.store(size, std::memory_order_release);
    if (size > old) return;  // pages behind the end that KEEP_SIZE reserved stay
    DropReserveLocked();
  }
  Remove(size, UINT64_MAX, true);
}

Status TmpfsPages::Reserve(uint64_t offset, uint64_t length, bool keep_size) {
  uint64_t end = offset + length;
  MutexLock l(mu_);
  ErrnoOr<uint64_t> filled = FillLocked(PageDown(offset), PageUp(end));
  if (!filled.ok() || *filled < PageUp(end)) {
    // Holes that were filled before it got full stay so: they read as zero.
    return Errno::kNospc;
  }
  if (!keep_size && end > size()) size_.store(end, std::memory_order_release);
  return Ok();
}

void TmpfsPages::Punch(uint64_t start, uint64_t end) { Remove(start, end, false); }

ErrnoOr<uint64_t> TmpfsPages::Seek(uint64_t offset, bool hole) {
  uint64_t size = this->size();
  if (offset >= size) return Errno::kNxio;
  MutexLock l(mu_);
  for (;;) {
    auto it = extents_->Find(offset);
    bool data = it != extents_->map.end() && it->first <= offset;
    if (data != hole) return offset;
    if (!data && it == extents_->map.end()) return Errno::kNxio;
    offset = data ? it->second.end : it->first;
    if (offset >= size) return hole ? ErrnoOr<uint64_t>(size) : Errno::kNxio;
  }
}

Status TmpfsPages::AddSeals(uint32_t seals) {
  constexpr uint32_t kKnown = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
                              0x10 /* F_SEAL_FUTURE_WRITE */ | 0x20 /* F_SEAL_EXEC */;
  if ((seals & ~kKnown) != 0) return Errno::kInval;
  MutexLock l(mu_);
  uint32_t have = this->seals();
  if ((have & F_SEAL_SEAL) != 0) return Errno::kPerm;
  if ((seals & F_SEAL_WRITE) != 0 && (have & F_SEAL_WRITE) == 0 && mappings_.HasWritable()) {
    return Errno::kBusy;
  }
  seals_.store(have | seals, std::memory_order_release);
  return Ok();
}

ErrnoOr<Backing> TmpfsPages::Translate(uint64_t offset, uint64_t length, Access want) {
  MutexLock l(mu_);
  uint64_t file_end = PageUp(size());
  if (offset >= file_end) return Errno::kNxio;
  auto it = extents_->Find(offset);
  if (it == extents_->map.end() || it->first > offset) {
    uint64_t end = std::min(file_end, offset + std::min(PageUp(length), kMapChunk));
    if (it != extents_->map.end()) end = std::min(end, it->first);
    TRY(FillLocked(offset, end));
    it = extents_->Find(offset);
  }
  Backing b;
  b.fd = memory_.fd();
  b.offset = it->second.mem + (offset - it->first);
  b.length = std::min(it->second.end, file_end) - offset;
  b.sentry = memory_.At(b.offset);
  b.writable = true;
  b.reusable = true;
  return b;
}

Status TmpfsPages::AddMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                              bool writable) {
  MutexLock l(mu_);
  if (writable && (seals() & (F_SEAL_WRITE | 0x10)) != 0) return Errno::kPerm;
  mappings_.Add(space, range, writable);
  return Ok();
}

void TmpfsPages::RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                               bool writable) {
  mappings_.Remove(space, range, writable);
}

Status TmpfsPages::PunchHole(uint64_t start, uint64_t end) {
  if ((seals() & (F_SEAL_WRITE | 0x10)) != 0) return Errno::kPerm;
  MutexLock l(mu_);
  for (auto it = extents_->Find(start); it != extents_->map.end() && it->first < end; ++it) {
    uint64_t from = std::max(start, it->first), to = std::min(end, it->second.end);
    memory_.Decommit({it->second.mem + (from - it->first), it->second.mem + (to - it->first)});
  }
  return Ok();
}

Mappable::Identity TmpfsPages::MappedIdentity() {
  MutexLock l(mu_);
  return identity_ ? *identity_ : Identity{};
}

void TmpfsPages::SetIdentity(Identity identity) {
  MutexLock l(mu_);
  identity_ = std::make_unique<Identity>(std::move(identity));
}

bool TmpfsPages::HasIdentity() {
  MutexLock l(mu_);
  return identity_ != nullptr;
}

}  // namespace runsc
