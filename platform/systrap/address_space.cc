#include "platform/systrap/address_space.h"

#include "platform/base/log.h"

namespace runsc::platform::systrap {
namespace {

bool Valid(AddrRange range) {
  return !range.empty() && PageAligned(range.start) && PageAligned(range.end) &&
         kUserRange.Covers(range);
}

// A stub that is gone is found out by who runs guest code in it.
Status ForgiveGone(Status status) {
  return status.error() == Errno::kSrch ? Ok() : std::move(status);
}

}  // namespace

Status SystrapAddressSpace::FlushLocked() {
  if (pending_.empty()) return Ok();
  Status status = ForgiveGone(stub_->Run(pending_.data(), pending_.size()));
  pending_.clear();
  return status;
}

Status SystrapAddressSpace::SubmitLocked(const ControlOp* ops, size_t count) {
  if (!batching_) return ForgiveGone(stub_->Run(ops, count));
  pending_.insert(pending_.end(), ops, ops + count);
  if (pending_.size() < CONTROL_MAX_OPS) return Ok();
  Status status = FlushLocked();
  if (!status.ok() && batch_error_ == Errno::kOk) batch_error_ = status.error();
  return status;
}

Status SystrapAddressSpace::MapFile(AddrRange range, MapSource source, Access access,
                                    bool populate) {
  if (!Valid(range) || !PageAligned(source.offset) || source.fd < 0) return Errno::kInval;
  const ControlOp op = MapOp(range.start, range.size(), access.Prot(), populate && access.Any(),
                             source.fd, source.offset);
  MutexLock lock(mu_);
  mapped_.Add(range);
  Status status = SubmitLocked(&op, 1);
  if (!status.ok() && !batching_) mapped_.Remove(range);
  return status;
}

void SystrapAddressSpace::Unmap(AddrRange range) {
  if (!Valid(range)) return;
  MutexLock lock(mu_);
  if (!mapped_.Overlaps(range)) return;
  mapped_.Remove(range);
  const ControlOp op = UnmapOp(range.start, range.size());
  Status status = SubmitLocked(&op, 1);
  // The stub kills itself rather than keep what it should not.
  if (!status.ok()) LOG_WARNING("systrap: munmap: %s", ErrnoName(status.error()));
}

Status SystrapAddressSpace::Protect(AddrRange range, Access access) {
  if (!Valid(range)) return Errno::kInval;
  MutexLock lock(mu_);
  std::vector<ControlOp> ops;
  for (AddrRange part : mapped_.In(range)) {
    ops.push_back(ProtectOp(part.start, part.size(), access.Prot()));
  }
  return ops.empty() ? Ok() : SubmitLocked(ops.data(), ops.size());
}

void SystrapAddressSpace::BeginBatch() {
  MutexLock lock(mu_);
  batching_ = true;
}

Status SystrapAddressSpace::EndBatch() {
  MutexLock lock(mu_);
  batching_ = false;
  Status status = FlushLocked();
  const Errno earlier = batch_error_;
  batch_error_ = Errno::kOk;
  return earlier != Errno::kOk ? earlier : std::move(status);
}

}  // namespace runsc::platform::systrap
