// Random sequences of memory calls against a page-by-page model of what Linux would show.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "sentry/mm/fake_platform.h"
#include "sentry/mm/memory_manager.h"

namespace runsc {
namespace {

constexpr uint64_t kBase = 0x200000000;
constexpr uint64_t kPages = 96;
constexpr uint64_t kFilePages = 64;
// Where in each page the value that is checked is.
constexpr uint64_t kSpot = 1016;

using Cell = std::shared_ptr<uint64_t>;

// The model's page: absent, or with an access and contents.
struct ModelPage {
  bool mapped = false;
  bool shared = false;
  bool wipe = false, dont_fork = false;
  int file = -1;          // index of the object, -1 anonymous
  uint64_t file_page = 0;
  bool own = false;       // private copy made (or anonymous)
  Access access;
  Cell cell;              // null: zero (anonymous), the file's (not own)
};

class World {
 public:
  explicit World(uint32_t seed) : random_(seed) {
    memory_ = MemoryFile::Create(uint64_t{64} << 30);
    for (int i = 0; i < 2; ++i) {
      objects_.push_back(NewSharedAnonymous(*memory_, kFilePages * kPageSize));
      files_.emplace_back();
      for (Cell& c : files_.back()) c = std::make_shared<uint64_t>(0);
    }
    spaces_.push_back({*MemoryManager::Create(platform_, *memory_), {}});
    for (uint64_t p = 0; p < kFilePages; ++p) {
      Backing b = *objects_[1]->Translate(p * kPageSize, kPageSize, {.read = true});
      *files_[1][p] = random_();
      std::memcpy(b.sentry + kSpot, files_[1][p].get(), sizeof(uint64_t));
    }
  }
  ~World() {
    spaces_.clear();
    objects_.clear();
    EXPECT_EQ(memory_->AllocatedBytes(), 0u);
  }

  void Step() {
    int what = Pick(100);
    Space& s = spaces_[static_cast<size_t>(Pick(static_cast<int>(spaces_.size())))];
    if (std::getenv("MODEL_VERBOSE") != nullptr) std::fprintf(stderr, "step %d space %ld\n", what, &s - spaces_.data());
    if (what < 14) return Map(s);
    if (what < 20) return Unmap(s);
    if (what < 28) return Protect(s);
    if (what < 33) return Remap(s);
    if (what < 38) return Advise(s);
    if (what < 42) return Fork(s);
    if (what < 44) return Exit();
    if (what < 62) return GuestWrite(s);
    if (what < 76) return GuestRead(s);
    if (what < 88) return SentryWrite(s);
    return SentryRead(s);
  }

  void CheckConsistency() {
    for (Space& s : spaces_) s.mm->CheckConsistency();
  }
  void CheckAll() {
    for (Space& s : spaces_) {
      for (uint64_t p = 0; p < kPages; ++p) CheckShown(s, p);
    }
  }

 private:
  struct Space {
    Ref<MemoryManager> mm;
    std::array<ModelPage, kPages> pages;
  };

  int Pick(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  static uint64_t Addr(uint64_t page) { return kBase + page * kPageSize; }
  FakeAddressSpace& Shown(Space& s) {
    return static_cast<FakeAddressSpace&>(s.mm->address_space());
  }
  Access RandomAccess() {
    switch (Pick(6)) {
      case 0: return {};
      case 1: return {.read = true};
      case 2: return {.write = true};
      case 3: return {.exec = true};
      default: return {.read = true, .write = true};
    }
  }
  struct PageRange {
    uint64_t first, count;
  };
  PageRange RandomRange() {
    uint64_t first = static_cast<uint64_t>(Pick(kPages));
    uint64_t count = 1 + static_cast<uint64_t>(Pick(Pick(4) == 0 ? 40 : 6));
    return {first, std::min(count, kPages - first)};
  }
  Cell& CellOf(ModelPage& p) {
    return p.own || p.file < 0 ? p.cell : files_[static_cast<size_t>(p.file)][p.file_page];
  }
  // Beyond the end of the file.
  static bool NoPage(const ModelPage& p) {
    return p.file >= 0 && !p.own && p.file_page >= kFilePages;
  }
  // The si_code that an access leads to; 0 if it succeeds.
  static int Expected(const ModelPage& p, bool write) {
    if (!p.mapped) return SEGV_MAPERR;
    if (write ? !p.access.write : !p.access.Any()) return SEGV_ACCERR;
    return NoPage(p) ? BUS_ADRERR : 0;
  }
  uint64_t ValueOf(ModelPage& p) {
    Cell& c = CellOf(p);
    return c ? *c : 0;
  }
  void Store(ModelPage& p, uint64_t value) {
    if (p.shared) {
      *CellOf(p) = value;
      return;
    }
    p.own = true;
    p.cell = std::make_shared<uint64_t>(value);
  }

  void Map(Space& s) {
    PageRange r = RandomRange();
    MMapRequest q;
    q.addr = UserAddr(Addr(r.first));
    q.length = r.count * kPageSize - static_cast<uint64_t>(Pick(100));
    q.access = RandomAccess();
    q.fixed = true;
    q.shared = Pick(3) == 0;
    q.populate = Pick(5) == 0;
    // Object 1 never changes: whether a private mapping shows later stores to the file is left
    // open by POSIX, and copying neighbours ahead of their faults makes it so here.
    int file = q.shared ? 0 : Pick(2) == 0 ? 1 : -1;
    uint64_t file_page = static_cast<uint64_t>(Pick(kFilePages - 8));
    if (file >= 0) {
      q.file = objects_[static_cast<size_t>(file)];
      q.offset = file_page * kPageSize;
    }
    ASSERT_TRUE(s.mm->MMap(q, {}).ok());
    for (uint64_t i = 0; i < r.count; ++i) {
      ModelPage& p = s.pages[r.first + i];
      p = {};
      p.mapped = true;
      p.shared = q.shared;
      p.access = q.access;
      p.file = file;
      p.file_page = file_page + i;
    }
  }

  void Unmap(Space& s) {
    PageRange r = RandomRange();
    ASSERT_TRUE(s.mm->MUnmap(UserAddr(Addr(r.first)), r.count * kPageSize).ok());
    for (uint64_t i = 0; i < r.count; ++i) s.pages[r.first + i] = {};
  }

  void Protect(Space& s) {
    PageRange r = RandomRange();
    Access a = RandomAccess();
    Status got = s.mm->MProtect(UserAddr(Addr(r.first)), r.count * kPageSize, a, false, {});
    for (uint64_t i = 0; i < r.count; ++i) {
      ModelPage& p = s.pages[r.first + i];
      if (!p.mapped) {
        EXPECT_EQ(got.error(), Errno::kNomem);
        return;
      }
      p.access = a;
    }
    EXPECT_TRUE(got.ok());
  }

  // Pages of one mapping, as mremap(2) wants them.
  static bool Uniform(Space& s, PageRange r) {
    for (uint64_t i = 0; i < r.count; ++i) {
      ModelPage& p = s.pages[r.first + i];
      ModelPage& q = s.pages[r.first];
      if (!p.mapped || p.shared != q.shared || p.file != q.file || p.wipe != q.wipe ||
          p.dont_fork != q.dont_fork || !(p.access == q.access)) {
        return false;
      }
      if (p.file >= 0 && p.file_page != q.file_page + i) return false;
    }
    return true;
  }

  void Remap(Space& s) {
    PageRange from = RandomRange();
    PageRange to = RandomRange();
    if (!Uniform(s, from)) return;
    bool keep = Pick(3) == 0;
    if (keep) to.count = std::min(from.count, kPages - to.first);
    if (keep) from.count = to.count;
    if (from.first < to.first + to.count && to.first < from.first + from.count) return;
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? 4 : 0);
    auto got = s.mm->MRemap(UserAddr(Addr(from.first)), from.count * kPageSize,
                            to.count * kPageSize, flags, UserAddr(Addr(to.first)), {});
    ASSERT_TRUE(got.ok()) << ErrnoName(got.error());
    ModelPage first = s.pages[from.first];
    for (uint64_t i = 0; i < to.count; ++i) {
      ModelPage& p = s.pages[to.first + i];
      if (i < from.count) {
        p = s.pages[from.first + i];
        continue;
      }
      p = first;
      p.own = false;
      p.cell = nullptr;
      p.file_page = first.file_page + i;
    }
    for (uint64_t i = 0; i < from.count; ++i) {
      ModelPage& p = s.pages[from.first + i];
      if (!keep) {
        p = {};
      } else if (!p.shared) {
        p.own = false;
        p.cell = nullptr;
      }
    }
  }

  void Advise(Space& s) {
    PageRange r = RandomRange();
    constexpr int kAdvice[] = {MADV_DONTNEED, MADV_WIPEONFORK, MADV_DONTFORK, MADV_WILLNEED};
    int advice = kAdvice[Pick(4)];
    bool refused = false;
    for (uint64_t i = 0; i < r.count; ++i) {
      ModelPage& p = s.pages[r.first + i];
      if (advice == MADV_WIPEONFORK && p.mapped && p.file >= 0) refused = true;
    }
    Status got = s.mm->MAdvise(UserAddr(Addr(r.first)), r.count * kPageSize, advice);
    if (refused) {
      EXPECT_EQ(got.error(), Errno::kInval);
      return;
    }
    for (uint64_t i = 0; i < r.count; ++i) {
      ModelPage& p = s.pages[r.first + i];
      if (!p.mapped) continue;
      if (advice == MADV_DONTNEED && !p.shared) {
        p.own = false;
        p.cell = nullptr;
      }
      if (advice == MADV_WIPEONFORK) p.wipe = true;
      if (advice == MADV_DONTFORK) p.dont_fork = true;
    }
  }

  void Fork(Space& s) {
    if (spaces_.size() >= 5) return Exit();
    uint64_t sp = Pick(2) == 0 ? 0 : Addr(static_cast<uint64_t>(Pick(kPages)));
    auto child = s.mm->Fork(UserAddr(sp));
    ASSERT_TRUE(child.ok());
    Space c{*child, s.pages};
    for (ModelPage& p : c.pages) {
      if (p.dont_fork) p = {};
      if (p.wipe) p.cell = nullptr;
    }
    spaces_.push_back(std::move(c));
  }

  void Exit() {
    if (spaces_.size() < 2) return;
    spaces_.erase(spaces_.begin() + Pick(static_cast<int>(spaces_.size())));
  }

  // What an access by the guest leads to, faults resolved: 0, or the si_code.
  template <typename F>
  int Guest(Space& s, uint64_t addr, Access want, F access) {
    for (int i = 0; i < 8; ++i) {
      if (access()) return 0;
      FaultOutcome out = s.mm->HandleFault(UserAddr(addr), want, {});
      if (!out.handled) return out.code;
    }
    auto it = Shown(s).pages.find(PageDown(addr));
    if (it == Shown(s).pages.end()) {
      ADD_FAILURE() << "a fault that resolves but does not go away: not mapped";
    } else {
      ADD_FAILURE() << "a fault that resolves but does not go away: fd " << it->second.fd << " at "
                    << it->second.offset << " access " << it->second.access.Prot();
    }
    return -1;
  }

  uint64_t RandomPage() { return static_cast<uint64_t>(Pick(kPages)); }

  void GuestWrite(Space& s) {
    uint64_t page = RandomPage();
    uint64_t value = random_();
    uint64_t at = Addr(page) + kSpot;
    ModelPage& p = s.pages[page];
    int code = Guest(s, at, {.write = true}, [&] { return Shown(s).Write(at, value); });
    EXPECT_EQ(code, Expected(p, true)) << page;
    if (code == 0) Store(p, value);
  }

  void GuestRead(Space& s) {
    uint64_t page = RandomPage();
    uint64_t at = Addr(page) + kSpot;
    ModelPage& p = s.pages[page];
    uint64_t value = 0;
    int code = Guest(s, at, {.read = true}, [&] {
      auto got = Shown(s).Read(at);
      value = got.value_or(0);
      return got.has_value();
    });
    EXPECT_EQ(code, Expected(p, false)) << page;
    if (code == 0) EXPECT_EQ(value, ValueOf(p)) << page;
  }

  void SentryWrite(Space& s) {
    uint64_t page = RandomPage();
    uint64_t value = random_();
    ModelPage& p = s.pages[page];
    Status got = s.mm->Put(UserAddr(Addr(page) + kSpot), value);
    EXPECT_EQ(got.ok(), Expected(p, true) == 0);
    if (got.ok()) Store(p, value);
  }

  void SentryRead(Space& s) {
    uint64_t page = RandomPage();
    ModelPage& p = s.pages[page];
    auto got = s.mm->Get<uint64_t>(UserAddr(Addr(page) + kSpot));
    ASSERT_EQ(got.ok(), Expected(p, false) == 0);
    if (got.ok()) EXPECT_EQ(*got, ValueOf(p)) << page;
  }

  // What is mapped in the platform without faults is no more than allowed, and right.
  void CheckShown(Space& s, uint64_t page) {
    ModelPage& p = s.pages[page];
    auto it = Shown(s).pages.find(Addr(page));
    if (it == Shown(s).pages.end()) return;
    ASSERT_TRUE(p.mapped && !NoPage(p)) << page;
    EXPECT_TRUE(p.access.write || !it->second.access.write) << page;
    EXPECT_TRUE(p.access.Any() || !it->second.access.Any()) << page;
    auto value = Shown(s).Read(Addr(page) + kSpot);
    if (!value) return;
    EXPECT_EQ(*value, ValueOf(p)) << page << " file " << p.file << " page " << p.file_page
                                  << " own " << p.own << " shared " << p.shared << " space "
                                  << &s - spaces_.data();
  }

  std::mt19937 random_;
  FakePlatform platform_;
  std::unique_ptr<MemoryFile> memory_;
  std::vector<Ref<Mappable>> objects_;
  std::vector<std::array<Cell, kFilePages>> files_;
  std::vector<Space> spaces_;
};

TEST(ModelTest, RandomSequences) {
  InstallFaultHandler();
  const char* rounds = std::getenv("MODEL_ROUNDS");
  uint32_t count = rounds != nullptr ? static_cast<uint32_t>(std::atoi(rounds)) : 40;
  for (uint32_t seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed);
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(i);
      w.Step();
      w.CheckConsistency();
      if (i % 16 == 0 || std::getenv("MODEL_VERBOSE") != nullptr) w.CheckAll();
    }
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace runsc
