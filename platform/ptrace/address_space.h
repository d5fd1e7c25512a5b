#ifndef PLATFORM_PTRACE_ADDRESS_SPACE_H_
#define PLATFORM_PTRACE_ADDRESS_SPACE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "platform/ptrace/range_set.h"
#include "platform/ptrace/stub_process.h"

namespace runsc::ptrace_platform {

class PtracePlatform;

// The state of a guest address space: one stub process whose leader makes the memory calls, and one
// process sharing its memory for each guest thread. Contexts keep it alive after the AddressSpace
// itself is gone.
class Space {
 public:
  Space(PtracePlatform& platform, std::unique_ptr<StubProcess> stub);
  ~Space();

  Status Map(AddrRange range, platform::MapSource source, Access access, bool populate);
  void Unmap(AddrRange range);
  void UnmapAll();
  Status Protect(AddrRange range, Access access);
  void BeginBatch();
  Status EndBatch();
  // Ends it: kills who runs here, gives the stub back if nobody does.
  void Close();

  // A place to run guest code in, until returned (parked) or dropped (dead). ESRCH: closed.
  ErrnoOr<Place> TakePlace();
  void ReturnPlace(Place place);
  void DropPlace(Place place);

 private:
  Status SubmitLocked(std::span<const StubOp> ops) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status RunLocked(std::span<const StubOp> ops) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Its memory is no longer ours to change: nothing may run in it.
  void DieLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  PtracePlatform& platform_;
  Mutex<LockRank::kAddressSpace> mu_;
  std::unique_ptr<StubProcess> stub_ ABSL_GUARDED_BY(mu_);
  RangeSet mapped_ ABSL_GUARDED_BY(mu_);
  bool batching_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<StubOp> batch_ ABSL_GUARDED_BY(mu_);
  std::vector<Place> running_ ABSL_GUARDED_BY(mu_);
};

class PtraceAddressSpace final : public platform::AddressSpace {
 public:
  explicit PtraceAddressSpace(std::shared_ptr<Space> space) : space_(std::move(space)) {}
  ~PtraceAddressSpace() override { space_->Close(); }

  Status MapFile(AddrRange range, platform::MapSource source, Access access,
                 bool populate) override {
    return space_->Map(range, source, access, populate);
  }
  void Unmap(AddrRange range) override { space_->Unmap(range); }
  Status Protect(AddrRange range, Access access) override { return space_->Protect(range, access); }
  // `kept` goes when this returns.
  void Close(std::unique_ptr<platform::Baggage>) override { space_->UnmapAll(); }
  void BeginBatch() override { space_->BeginBatch(); }
  Status EndBatch() override { return space_->EndBatch(); }

  const std::shared_ptr<Space>& space() const { return space_; }

 private:
  std::shared_ptr<Space> space_;
};

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_ADDRESS_SPACE_H_
