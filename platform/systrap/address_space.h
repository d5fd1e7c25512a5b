#ifndef PLATFORM_SYSTRAP_ADDRESS_SPACE_H_
#define PLATFORM_SYSTRAP_ADDRESS_SPACE_H_

#include <vector>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/systrap/mapped_set.h"
#include "platform/systrap/stub.h"

namespace runsc::platform::systrap {

// Guest addresses that may be mapped.
inline constexpr AddrRange kUserRange{0x10000, STUB_HOLE};

// One stub process's memory. Its destruction kills the process.
class SystrapAddressSpace : public AddressSpace {
 public:
  explicit SystrapAddressSpace(Ref<Stub> stub) : stub_(std::move(stub)) {}
  ~SystrapAddressSpace() override { stub_->Kill(); }

  Status MapFile(AddrRange range, MapSource source, Access access, bool populate) override;
  void Unmap(AddrRange range) override;
  Status Protect(AddrRange range, Access access) override;
  void Close(std::unique_ptr<Baggage> kept) override { stub_->Kill(std::move(kept)); }
  void BeginBatch() override;
  Status EndBatch() override;

  const Ref<Stub>& stub() const { return stub_; }

 private:
  Status SubmitLocked(const ControlOp* ops, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status FlushLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Ref<Stub> stub_;

  // What is mapped, and what waits for EndBatch.
  Mutex<LockRank::kStubMappings> mu_;
  MappedSet mapped_ ABSL_GUARDED_BY(mu_);
  bool batching_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<ControlOp> pending_ ABSL_GUARDED_BY(mu_);
  Errno batch_error_ ABSL_GUARDED_BY(mu_) = Errno::kOk;
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_ADDRESS_SPACE_H_
