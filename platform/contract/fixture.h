#ifndef PLATFORM_CONTRACT_FIXTURE_H_
#define PLATFORM_CONTRACT_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "platform/api/platform.h"

// Snippets of guest_asm.S.
extern "C" {
extern const char guest_code_start[], guest_code_end[];
#define GUEST_SNIPPET(name) extern const char guest_##name[];
GUEST_SNIPPET(syscalls)
GUEST_SNIPPET(five_calls)
GUEST_SNIPPET(count)
GUEST_SNIPPET(busy)
GUEST_SNIPPET(work)
GUEST_SNIPPET(busy_count)
GUEST_SNIPPET(read)
GUEST_SNIPPET(write)
GUEST_SNIPPET(peek)
GUEST_SNIPPET(one_call)
GUEST_SNIPPET(jump)
GUEST_SNIPPET(touch)
GUEST_SNIPPET(int3)
GUEST_SNIPPET(ud2)
GUEST_SNIPPET(div0)
GUEST_SNIPPET(int80)
GUEST_SNIPPET(hlt)
GUEST_SNIPPET(bad_stack)
GUEST_SNIPPET(misaligned_sse)
GUEST_SNIPPET(sse_div0)
GUEST_SNIPPET(align_check)
GUEST_SNIPPET(nops)
GUEST_SNIPPET(nested_task)
GUEST_SNIPPET(avx512_call)
GUEST_SNIPPET(avx_call)
GUEST_SNIPPET(sse_call)
GUEST_SNIPPET(avx512_wait)
GUEST_SNIPPET(avx_wait)
GUEST_SNIPPET(sse_wait)
GUEST_SNIPPET(control_words)
GUEST_SNIPPET(tls)
GUEST_SNIPPET(set_bases)
GUEST_SNIPPET(scribble)
GUEST_SNIPPET(hide)
GUEST_SNIPPET(sysenter)
GUEST_SNIPPET(compat_int80)
GUEST_SNIPPET(compat_syscall)
GUEST_SNIPPET(compat_sysenter)
#undef GUEST_SNIPPET
}

namespace runsc::platform {

// Defined by each test program: the platform that it tests.
const PlatformFactory& FactoryUnderTest();

namespace contract {

inline constexpr Access kRead{.read = true};
inline constexpr Access kReadWrite{.read = true, .write = true};
inline constexpr Access kReadExec{.read = true, .exec = true};
inline constexpr Access kNoAccess{};

// Guest addresses that every test space has: code (the snippets), data and stack.
inline constexpr uint64_t kCode = 0x10000000;
inline constexpr uint64_t kData = 0x20000000;
inline constexpr uint64_t kDataSize = 0x40000;
inline constexpr uint64_t kStack = 0x30000000;
inline constexpr uint64_t kStackTop = kStack + 0x100000;
// Where data and stack begin in the memory file.
inline constexpr uint64_t kDataOffset = 0x10000;
inline constexpr uint64_t kStackOffset = 0x100000;
inline constexpr uint64_t kFreeOffset = 0x200000;  // from here on it is the test's
inline constexpr uint64_t kMemorySize = 0x4000000;

// A platform, a memory file with the snippets, and ways to run them.
class ContractTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Fails the test if the platform does.
  std::unique_ptr<AddressSpace> NewSpace();
  std::unique_ptr<AddressSpace> NewEmptySpace();
  std::unique_ptr<Context> NewContext();
  void Map(AddressSpace& as, uint64_t address, uint64_t size, uint64_t offset, Access access);

  static uint64_t AddressOf(const char* snippet) {
    return kCode + static_cast<uint64_t>(snippet - guest_code_start);
  }
  // Registers that start a snippet.
  static arch::Registers At(const char* snippet);
  // Recognisable values in all general registers but rsp and rip.
  static arch::Registers Marked(const char* snippet);
  // The memory file, and guest data in it.
  template <typename T>
  T* Memory(uint64_t offset) {
    return reinterpret_cast<T*>(memory_ + offset);
  }
  template <typename T>
  T* Data(uint64_t offset = 0) {
    return Memory<T>(kDataOffset + offset);
  }
  int memory_fd() const { return memory_fd_; }
  void DestroyPlatform() { platform_.reset(); }
  Platform& platform() { return *platform_; }

 private:
  int memory_fd_ = -1;
  char* memory_ = nullptr;
  std::unique_ptr<Platform> platform_;
};

// Host processes whose parent is this one, zombies too.
std::vector<int> ChildPids();
size_t OpenDescriptors();
// Runs `check` until it is true, at most for some seconds.
bool Eventually(const std::function<bool()>& check);
uint64_t NowNanos();
// A platform may bind the threads that call Switch to CPUs, and new threads inherit that: for those
// that should run beside them.
void UseAllCpus();
std::string Describe(const Stop& stop);

}  // namespace contract
}  // namespace runsc::platform

#endif  // PLATFORM_CONTRACT_FIXTURE_H_
