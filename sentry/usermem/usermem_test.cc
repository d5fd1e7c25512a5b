#include "sentry/usermem/usermem.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <numeric>

namespace runsc {
namespace {

// Guest memory [kBase, kBase + size) over a vector.
class FlatMemory : public UserMemory {
 public:
  static constexpr uint64_t kBase = 0x10000;
  explicit FlatMemory(size_t size) : bytes(size, 0) {}

  ErrnoOr<size_t> CopyInPartial(void* dst, UserAddr src, size_t n) override {
    n = Clamp(src, n);
    if (n == 0) return Errno::kFault;
    std::memcpy(dst, &bytes[src.value - kBase], n);
    return n;
  }
  ErrnoOr<size_t> CopyOutPartial(UserAddr dst, const void* src, size_t n) override {
    n = Clamp(dst, n);
    if (n == 0) return Errno::kFault;
    std::memcpy(&bytes[dst.value - kBase], src, n);
    return n;
  }
  ErrnoOr<size_t> ZeroPartial(UserAddr dst, size_t n) override {
    n = Clamp(dst, n);
    if (n == 0) return Errno::kFault;
    std::memset(&bytes[dst.value - kBase], 0, n);
    return n;
  }
  ErrnoOr<size_t> WithPieces(UserAddr addr, size_t n, Access, PieceSink& sink) override {
    n = Clamp(addr, n);
    if (n == 0) return Errno::kFault;
    iovec v{&bytes[addr.value - kBase], n};
    return sink.OnPieces(&v, 1);
  }
  ErrnoOr<uint32_t> Load32(UserAddr) override { return Errno::kFault; }
  ErrnoOr<uint32_t> CompareExchange32(UserAddr, uint32_t, uint32_t) override {
    return Errno::kFault;
  }

  std::string bytes;

 private:
  size_t Clamp(UserAddr a, size_t n) const {
    if (a.value < kBase || a.value >= kBase + bytes.size()) return 0;
    return std::min(n, kBase + bytes.size() - a.value);
  }
};

class SafeCopyTest : public testing::Test {
 protected:
  void SetUp() override {
    InstallFaultHandler();
    fd_ = memfd_create("t", 0);
    ASSERT_EQ(ftruncate(fd_, kPageSize), 0);
    // The second page lies beyond the end of the file: SIGBUS.
    map_ = static_cast<char*>(
        mmap(nullptr, 2 * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    ASSERT_NE(map_, MAP_FAILED);
  }
  void TearDown() override {
    munmap(map_, 2 * kPageSize);
    close(fd_);
  }
  int fd_ = -1;
  char* map_ = nullptr;
};

TEST_F(SafeCopyTest, CopiesEveryLength) {
  char in[100];
  std::iota(in, in + sizeof(in), 1);
  for (size_t n = 0; n <= sizeof(in); ++n) {
    std::memset(map_, 0, 200);
    ASSERT_EQ(SafeCopy(map_, in, n), n);
    ASSERT_EQ(std::memcmp(map_, in, n), 0);
    ASSERT_EQ(map_[n], 0);
  }
}

TEST_F(SafeCopyTest, StopsAtTheFault) {
  std::string in(2 * kPageSize, 'x');
  EXPECT_EQ(SafeCopy(map_ + kPageSize - 100, in.data(), 300), 100u);
  EXPECT_EQ(SafeCopy(in.data(), map_ + kPageSize - 3, 5), 3u);
  EXPECT_EQ(SafeCopy(in.data(), map_ + kPageSize, 8), 0u);
  EXPECT_EQ(SafeCopy(map_ + kPageSize, in.data(), 4), 0u);
  EXPECT_EQ(SafeZero(map_ + kPageSize - 10, 100), 10u);
  char* nowhere = reinterpret_cast<char*>(64);
  EXPECT_EQ(SafeCopy(nowhere, in.data(), 100), 0u);
}

TEST_F(SafeCopyTest, AtomicsReportFaults) {
  uint32_t out = 0;
  auto* word = reinterpret_cast<uint32_t*>(map_);
  auto* bad = reinterpret_cast<uint32_t*>(map_ + kPageSize);
  *word = 7;
  EXPECT_TRUE(SafeLoad32(word, &out));
  EXPECT_EQ(out, 7u);
  EXPECT_FALSE(SafeLoad32(bad, &out));
  EXPECT_TRUE(SafeCompareExchange32(word, 7, 9, &out));
  EXPECT_EQ(out, 7u);
  EXPECT_TRUE(SafeCompareExchange32(word, 7, 11, &out));
  EXPECT_EQ(out, 9u);
  EXPECT_EQ(*word, 9u);
  EXPECT_FALSE(SafeCompareExchange32(bad, 7, 11, &out));
}

TEST(UserMemoryTest, GetString) {
  FlatMemory m(3 * kPageSize);
  std::memset(m.bytes.data(), 'a', m.bytes.size());
  m.bytes[5000] = 0;
  UserAddr base(FlatMemory::kBase);
  EXPECT_EQ(m.GetString(base, 5000)->size(), 5000u);
  EXPECT_EQ(m.GetString(base, 4999).error(), Errno::kNametoolong);
  EXPECT_EQ(*m.GetString(base + 5000, 0), "");
  EXPECT_EQ(m.GetString(base + 5001, 100000).error(), Errno::kFault);
  EXPECT_EQ(m.GetString(UserAddr(0), 10).error(), Errno::kFault);
}

TEST(UserOutTest, GoesThroughRangesInOrder) {
  FlatMemory m(1000);
  UserAddr b(FlatMemory::kBase);
  UserOut out(m, {{b + 10, 3}, {b + 100, 0}, {b + 20, 4}});
  EXPECT_EQ(out.remaining(), 7u);
  EXPECT_EQ(*out.Write("abcde", 5), 5u);
  EXPECT_EQ(m.bytes.substr(10, 3), "abc");
  EXPECT_EQ(m.bytes.substr(20, 2), "de");
  EXPECT_EQ(*out.Write("xyz", 3), 2u);
  EXPECT_EQ(m.bytes.substr(20, 4), "dexy");
  EXPECT_EQ(out.remaining(), 0u);
}

TEST(UserOutTest, ShortAtTheEndOfMemoryThenEfault) {
  FlatMemory m(100);
  UserOut out(m, UserAddr(FlatMemory::kBase + 98), 10);
  EXPECT_EQ(*out.Write("abcdef", 6), 2u);
  EXPECT_EQ(out.Write("abcdef", 6).error(), Errno::kFault);
  EXPECT_EQ(out.Put(uint32_t{1}).error(), Errno::kFault);
}

TEST(UserInTest, KernelBuffer) {
  UserIn in("hello", 5);
  in.Skip(1);
  in.Truncate(3);
  char got[8] = {};
  EXPECT_EQ(*in.Read(got, 2), 2u);
  EXPECT_EQ(*in.Read(got + 2, 8), 1u);
  EXPECT_STREQ(got, "ell");
}

TEST(ImportIovecTest, ChecksAndClamps) {
  FlatMemory m(1000);
  UserAddr b(FlatMemory::kBase);
  iovec v[3] = {{reinterpret_cast<void*>(0x1), 5}, {nullptr, 0}, {nullptr, kMaxTransfer}};
  std::memcpy(m.bytes.data(), v, sizeof(v));
  auto got = ImportIovec(m, b, 3);
  ASSERT_TRUE(got.ok());
  ASSERT_EQ(got->size(), 2u);
  EXPECT_EQ((*got)[1].size, kMaxTransfer - 5);
  EXPECT_EQ(ImportIovec(m, b, 1025).error(), Errno::kInval);
  EXPECT_EQ(ImportIovec(m, UserAddr(8), 1).error(), Errno::kFault);
  EXPECT_TRUE(ImportIovec(m, UserAddr(8), 0).ok());
  v[0].iov_len = SIZE_MAX;
  std::memcpy(m.bytes.data(), v, sizeof(v));
  EXPECT_EQ(ImportIovec(m, b, 1).error(), Errno::kInval);
}

}  // namespace
}  // namespace runsc
