#include "sentry/fs/overlay/overlay_mappable.h"

#include <utility>

namespace runsc {

OverlayMappable::~OverlayMappable() {
  MutexLock l(mu_);
  if (!real_) return;
  if (readable_ != 0) real_->RemoveMapping(this, {0, readable_}, 0, false);
  if (writable_ != 0) real_->RemoveMapping(this, {0, writable_}, 0, true);
}

Ref<Mappable> OverlayMappable::Real() {
  MutexLock l(mu_);
  return real_;
}

void OverlayMappable::SetReal(Ref<Mappable> real) {
  Ref<Mappable> old;
  {
    MutexLock l(mu_);
    if (real_ == real) return;
    if (readable_ != 0) (void)real->AddMapping(this, {0, readable_}, 0, false).ok();
    if (writable_ != 0) (void)real->AddMapping(this, {0, writable_}, 0, true).ok();
    if (real_) {
      if (readable_ != 0) real_->RemoveMapping(this, {0, readable_}, 0, false);
      if (writable_ != 0) real_->RemoveMapping(this, {0, writable_}, 0, true);
    }
    old = std::exchange(real_, std::move(real));
  }
  // Private copies stay: they are the processes' own.
  if (old) spaces_.Invalidate(this, 0, UINT64_MAX, false);
}

void OverlayMappable::SetIdentity(Identity identity) {
  MutexLock l(mu_);
  identity_ = std::move(identity);
}

ErrnoOr<Backing> OverlayMappable::Translate(uint64_t offset, uint64_t length, Access want) {
  return Real()->Translate(offset, length, want);
}

Status OverlayMappable::AddMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                                   bool writable) {
  {
    MutexLock l(mu_);
    TRY(real_->AddMapping(this, range, offset, writable));
    (writable ? writable_ : readable_) += range.size();
  }
  spaces_.Add(space, range, writable);
  return Ok();
}

void OverlayMappable::RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                                    bool writable) {
  spaces_.Remove(space, range, writable);
  MutexLock l(mu_);
  real_->RemoveMapping(this, range, offset, writable);
  (writable ? writable_ : readable_) -= range.size();
}

Status OverlayMappable::SyncMapped(uint64_t start, uint64_t end) {
  return Real()->SyncMapped(start, end);
}

Status OverlayMappable::PunchHole(uint64_t start, uint64_t end) {
  return Real()->PunchHole(start, end);
}

Mappable::Identity OverlayMappable::MappedIdentity() {
  MutexLock l(mu_);
  return identity_;
}

void OverlayMappable::InvalidateMappable(Mappable* object, uint64_t start, uint64_t end,
                                         bool private_copies) {
  spaces_.Invalidate(this, start, end, private_copies);
}

}  // namespace runsc
