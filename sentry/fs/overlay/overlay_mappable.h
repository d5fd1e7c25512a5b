#ifndef SENTRY_FS_OVERLAY_OVERLAY_MAPPABLE_H_
#define SENTRY_FS_OVERLAY_OVERLAY_MAPPABLE_H_

#include <cstdint>

#include "platform/base/mutex.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/mapping_set.h"

namespace runsc {

// What is mapped of a regular file of an overlay: forwards to the layer's object, and changes over
// to the upper layer's when the file is copied up, so that mappings made before see what is written
// after (Linux's overlayfs does not do that).
class OverlayMappable final : public Mappable, public MappingSpace {
 public:
  // The layer's object that counts from now on. No locks ranked kMmMap or higher held.
  void SetReal(Ref<Mappable> real);
  bool empty() const { return spaces_.empty(); }
  void SetIdentity(Identity identity);

  // Mappable.
  ErrnoOr<Backing> Translate(uint64_t offset, uint64_t length, Access want) override;
  Status AddMapping(MappingSpace* space, AddrRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                     bool writable) override;
  Status SyncMapped(uint64_t start, uint64_t end) override;
  Status PunchHole(uint64_t start, uint64_t end) override;
  Identity MappedIdentity() override;

  // MappingSpace: what the layer's object tells, passed on.
  void InvalidateMappable(Mappable* object, uint64_t start, uint64_t end,
                          bool private_copies) override;
  bool Pin() override { return TryIncRef(); }
  void Unpin() override { DecRef(); }

 private:
  ~OverlayMappable() override;
  Ref<Mappable> Real();

  MappingSet spaces_;
  Mutex<LockRank::kOverlayMappable> mu_;
  Ref<Mappable> real_ ABSL_GUARDED_BY(mu_);
  // Bytes told to real_, which counts only them.
  uint64_t readable_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t writable_ ABSL_GUARDED_BY(mu_) = 0;
  Identity identity_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_OVERLAY_OVERLAY_MAPPABLE_H_
