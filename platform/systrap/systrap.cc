#include "platform/systrap/systrap.h"

#include <sys/auxv.h>

#include <utility>

#include "platform/base/log.h"
#include "platform/systrap/address_space.h"
#include "platform/systrap/arena.h"
#include "platform/systrap/calls.h"
#include "platform/systrap/context.h"
#include "platform/systrap/placement.h"
#include "platform/systrap/pool.h"
#include "platform/systrap/self_test.h"

namespace runsc::platform {
namespace systrap {
namespace {

constexpr unsigned long kHwcap2Fsgsbase = 2;

class SystrapPlatform : public Platform {
 public:
  SystrapPlatform(const PlatformOptions& options, std::unique_ptr<Arena> arena,
                  std::unique_ptr<StubPool> pool)
      : cpus_(options.cpus, options.fast_path), arena_(std::move(arena)), pool_(std::move(pool)) {}

  const char* name() const override { return "systrap"; }
  AddrRange user_range() const override { return kUserRange; }
  ErrnoOr<std::unique_ptr<AddressSpace>> NewAddressSpace() override {
    Ref<Stub> stub = TRY(pool_->Take());
    // Now, since execve(2) cannot fail any more when its thread goes there.
    Status ready = stub->EnsureThread();
    if (!ready.ok()) {
      stub->Kill();
      return ready.error() == Errno::kSrch ? Errno::kAgain : ready.error();
    }
    return std::unique_ptr<AddressSpace>(std::make_unique<SystrapAddressSpace>(std::move(stub)));
  }
  ErrnoOr<std::unique_ptr<Context>> NewContext() override {
    return std::unique_ptr<Context>(std::make_unique<SystrapContext>(cpus_));
  }

 private:
  const CpuTable cpus_;
  // The pool's destructor still needs the arena.
  const std::unique_ptr<Arena> arena_;
  const std::unique_ptr<StubPool> pool_;
};

ErrnoOr<std::unique_ptr<Platform>> CreateOrSay(const PlatformOptions& options, std::string* why) {
  if ((getauxval(AT_HWCAP2) & kHwcap2Fsgsbase) == 0) {
    *why = "the kernel does not enable the FSGSBASE instructions (Linux 5.9, Ivy Bridge or newer)";
    return Errno::kNosys;
  }
  // Two nested signal frames and the handlers' own stack must fit.
  if (arch::XsaveSize() * 3 > STUB_SLOT_SIZE - STUB_CTX_SIZE) {
    *why = "the CPU's XSAVE area is too large";
    return Errno::kNosys;
  }
  TicksPerMicro();
  std::unique_ptr<Arena> arena = Arena::Create(why);
  if (arena == nullptr) return Errno::kNomem;
  std::unique_ptr<StubPool> pool = StubPool::Create(*arena, why);
  if (pool == nullptr) return Errno::kAgain;
  return std::unique_ptr<Platform>(
      std::make_unique<SystrapPlatform>(options, std::move(arena), std::move(pool)));
}

std::optional<std::string> Test() {
  TicksPerMicro();  // before the test's process, which inherits it
  return SelfTest(&CreateOrSay);
}

ErrnoOr<std::unique_ptr<Platform>> Create(const PlatformOptions& options) {
  std::string why;
  auto platform = CreateOrSay(options, &why);
  if (!platform.ok()) LOG_WARNING("systrap: %s", why.c_str());
  return platform;
}

}  // namespace
}  // namespace systrap

const PlatformFactory& SystrapFactory() {
  static constexpr PlatformFactory kFactory = {"systrap", &systrap::Test, &systrap::Create};
  return kFactory;
}

}  // namespace runsc::platform
