#include "platform/arch/registers.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>

#include <fstream>

#include "platform/arch/auxv.h"
#include "platform/arch/xsave_layout.h"

namespace runsc::arch {
namespace {

TEST(RegistersTest, XrstorTakesSanitizedHostileState) {
  FpuState state(XsaveSize() + 100, 0xff);
  SanitizeFpuState(state);
  ASSERT_EQ(state.size(), XsaveSize());
  alignas(64) static uint8_t area[16384];
  alignas(64) static uint8_t saved[16384];
  ASSERT_LE(state.size(), sizeof(area));
  // Whatever pkeys the state denies would hit our own stack; leave that feature out.
  constexpr uint64_t kPkru = 1 << 9;
  StoreAt(state.data(), kXstateBvOffset, LoadAt<uint64_t>(state.data(), kXstateBvOffset) & ~kPkru);
  memcpy(area, state.data(), state.size());
  __asm__ volatile(
      "xsave64 %1\n"
      "xrstor64 %0\n"
      "xrstor64 %1\n"
      :
      : "m"(area), "m"(saved), "a"(XsaveFeatures()), "d"(0)
      : "memory");
}

TEST(RegistersTest, InitialStateHasAbiDefaults) {
  FpuState s = InitialFpuState();
  EXPECT_EQ(LoadAt<uint16_t>(s.data(), kFcwOffset), 0x37f);
  EXPECT_EQ(LoadAt<uint32_t>(s.data(), kMxcsrOffset), 0x1f80u);
  FpuState t = s;
  SanitizeFpuState(t);
  EXPECT_EQ(s, t);
}

TEST(RegistersTest, PrivilegedFlagsAndSelectorsAreFixed) {
  Registers r = InitialRegisters(0x1000, 0x2000);
  r.eflags = ~uint64_t{0};
  r.cs = 0x10;
  r.ds = 0x18;
  EXPECT_TRUE(SanitizeRegisters(r));
  EXPECT_EQ(r.eflags & 0x3000, 0u) << "IOPL";
  EXPECT_EQ(r.eflags & 0x202, 0x202u);
  EXPECT_EQ(r.cs, 0x33u);
  EXPECT_EQ(r.ds, 0u);
}

TEST(RegistersTest, NonCanonicalIsRefused) {
  const uint64_t bad = uint64_t{1} << 47;
  for (uint64_t Registers::* field :
       {&Registers::rip, &Registers::rsp, &Registers::fs_base, &Registers::gs_base}) {
    Registers r = InitialRegisters(0x1000, 0x2000);
    r.*field = bad;
    EXPECT_FALSE(SanitizeRegisters(r));
  }
}

TEST(AuxvTest, AgreesWithTheHost) {
  // glibc keeps a word of its own behind getauxval(AT_HWCAP); the kernel's is in the file.
  std::ifstream file("/proc/self/auxv", std::ios::binary);
  uint64_t entry[2];
  while (file.read(reinterpret_cast<char*>(entry), sizeof(entry))) {
    if (entry[0] == AT_HWCAP) EXPECT_EQ(Hwcap(), entry[1]);
    if (entry[0] == AT_HWCAP2) EXPECT_EQ(Hwcap2(), entry[1] & 2);
  }
  EXPECT_STREQ(kPlatformName, reinterpret_cast<const char*>(getauxval(AT_PLATFORM)));
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
  const uint64_t host = getauxval(AT_MINSIGSTKSZ);
  if (host == 0) GTEST_SKIP() << "host before 5.14";
  // Hosts that run 32-bit programs too count their larger frame.
  EXPECT_GE(host, MinSigStackSize());
  EXPECT_LE(host, MinSigStackSize() + 432);
}

}  // namespace
}  // namespace runsc::arch
