#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <utility>

#include "platform/base/log.h"
#include "platform/ptrace/address_space.h"
#include "platform/ptrace/platform.h"

namespace runsc::ptrace_platform {
namespace {

StubOp MunmapOp(AddrRange r) {
  return {SYS_munmap, {r.start, r.size(), 0, 0, 0, 0}, PTRACE_STUB_OP_PLAIN};
}

StubOp MprotectOp(AddrRange r, Access access) {
  return {SYS_mprotect,
          {r.start, r.size(), static_cast<uint64_t>(access.Prot()), 0, 0, 0},
          PTRACE_STUB_OP_PLAIN};
}

AddrRange OpRange(const StubOp& op) { return {op.args[0], op.args[0] + op.args[1]}; }

}  // namespace

Space::Space(PtracePlatform& platform, std::unique_ptr<StubProcess> stub)
    : platform_(platform), stub_(std::move(stub)) {}

Space::~Space() = default;

void Space::Close() {
  MutexLock l(mu_);
  if (stub_ == nullptr) return;
  if (!running_.empty()) return DieLocked();
  // A frame of a fault could tell the next guest process about this one.
  const StubOp ops[] = {
      MunmapOp(platform_.user_range()),
      {SYS_madvise,
       {PTRACE_STUB_SLOTS, uint64_t{PTRACE_STUB_SLOT_SIZE} * PTRACE_STUB_SLOT_COUNT, MADV_DONTNEED,
        0, 0, 0},
       PTRACE_STUB_OP_PLAIN}};
  if (stub_->Run(ops).done == 2) platform_.Recycle(std::move(stub_));
  stub_ = nullptr;
}

void Space::UnmapAll() { Unmap(platform_.user_range()); }

void Space::DieLocked() {
  // The contexts that run here find their place gone and reap it.
  for (const Place& place : running_) kill(place.pid, SIGKILL);
  stub_ = nullptr;
}

Status Space::RunLocked(std::span<const StubOp> ops) {
  if (stub_ == nullptr) return Errno::kNomem;
  Status first;
  while (!ops.empty()) {
    const StubProcess::Outcome o = stub_->Run(ops);
    if (o.done == ops.size()) break;
    const StubOp& failed = ops[o.done];
    ops = ops.subspan(o.done + 1);
    if (first.ok()) first = o.error;
    // The host may refuse to split its mappings. A mapping that should have changed and did not
    // must not be seen by the guest; if even that is refused, nothing may run here any more.
    const StubOp unmap = MunmapOp(OpRange(failed));
    const bool unmapped = o.error != Errno::kSrch && failed.number != SYS_munmap &&
                          stub_->Run({&unmap, 1}).done == 1;
    if (!unmapped) {
      if (o.error != Errno::kSrch) LOG_WARNING("ptrace: munmap refused: %s", ErrnoName(o.error));
      DieLocked();
      return Errno::kNomem;
    }
    mapped_.Remove(OpRange(failed));
  }
  return first;
}

Status Space::SubmitLocked(std::span<const StubOp> ops) {
  if (!batching_) return RunLocked(ops);
  batch_.insert(batch_.end(), ops.begin(), ops.end());
  return Ok();
}

Status Space::Map(AddrRange range, platform::MapSource source, Access access, bool populate) {
  if (range.empty() || !platform_.user_range().Covers(range)) return Errno::kInval;
  MutexLock l(mu_);
  const uint64_t flags = MAP_SHARED | MAP_FIXED | (populate ? MAP_POPULATE : 0);
  const StubOp op{SYS_mmap,
                  {range.start, range.size(), static_cast<uint64_t>(access.Prot()), flags,
                   static_cast<uint64_t>(source.fd), source.offset},
                  PTRACE_STUB_OP_PLAIN};
  mapped_.Add(range);
  return SubmitLocked({&op, 1});
}

void Space::Unmap(AddrRange range) {
  range = range.Intersect(platform_.user_range());
  if (range.empty()) return;
  MutexLock l(mu_);
  if (mapped_.Parts(range).empty()) return;
  mapped_.Remove(range);
  const StubOp op = MunmapOp(range);
  (void)SubmitLocked({&op, 1});
}

Status Space::Protect(AddrRange range, Access access) {
  MutexLock l(mu_);
  std::vector<StubOp> ops;
  for (AddrRange part : mapped_.Parts(range)) ops.push_back(MprotectOp(part, access));
  return SubmitLocked(ops);
}

void Space::BeginBatch() {
  MutexLock l(mu_);
  batching_ = true;
}

Status Space::EndBatch() {
  MutexLock l(mu_);
  batching_ = false;
  std::vector<StubOp> ops = std::move(batch_);
  batch_.clear();
  return RunLocked(ops);
}

ErrnoOr<Place> Space::TakePlace() {
  MutexLock l(mu_);
  if (stub_ == nullptr) return Errno::kSrch;
  const Place place = TRY(stub_->TakePlace());
  running_.push_back(place);
  return place;
}

void Space::ReturnPlace(Place place) {
  MutexLock l(mu_);
  std::erase_if(running_, [&](const Place& p) { return p.pid == place.pid; });
  if (stub_ == nullptr) {
    KillStub(place.pid);
  } else {
    stub_->ReturnParked(place);
  }
}

void Space::DropPlace(Place place) {
  MutexLock l(mu_);
  std::erase_if(running_, [&](const Place& p) { return p.pid == place.pid; });
  if (stub_ != nullptr) stub_->ReturnDead(place);
}

}  // namespace runsc::ptrace_platform
