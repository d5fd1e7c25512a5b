#ifndef PLATFORM_PTRACE_PLATFORM_H_
#define PLATFORM_PTRACE_PLATFORM_H_

#include <memory>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "platform/ptrace/placement.h"
#include "platform/ptrace/stub_process.h"

namespace runsc::ptrace_platform {

// The platform: the template process that stubs are forked from, and idle stubs to use again.
class PtracePlatform final : public platform::Platform {
 public:
  static ErrnoOr<std::unique_ptr<platform::Platform>> Create(
      const platform::PlatformOptions& options);
  ~PtracePlatform() override;

  const char* name() const override { return "ptrace"; }
  AddrRange user_range() const override;
  ErrnoOr<std::unique_ptr<platform::AddressSpace>> NewAddressSpace() override;
  ErrnoOr<std::unique_ptr<platform::Context>> NewContext() override;

  // Takes back the stub of an address space that is gone; its user range is empty.
  void Recycle(std::unique_ptr<StubProcess> stub);
  Placement& placement() { return placement_; }

 private:
  PtracePlatform() = default;

  static constexpr size_t kMaxIdle = 4;
  Placement placement_;
  std::unique_ptr<StubFiles> files_;
  Mutex<LockRank::kPlatformPool> mu_;
  std::unique_ptr<StubProcess> template_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<StubProcess>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_PLATFORM_H_
