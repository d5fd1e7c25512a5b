// Shared by the parts of the guest that plays random file operations.
#ifndef TEST_FUZZ_TREE_TREE_H_
#define TEST_FUZZ_TREE_TREE_H_

#include <stdint.h>
#include <sys/stat.h>

#include <string>

namespace tree {

// --- random choices: the same in every place for the same seed, whatever the calls answer ---

void Seed(uint64_t seed);
unsigned Below(unsigned n);
inline bool Chance(unsigned percent) { return Below(100) < percent; }
template <size_t N>
long Pick(const long (&of)[N]) {
  return of[Below(N)];
}
std::string Name();
std::string RandomPath();

// What the file systems compared have: names, letters of the command line.
struct Features {
  bool holes = false;      // h: SEEK_DATA and SEEK_HOLE alike
  bool times = false;      // t: look at changes of mtime and ctime
  bool xattrs = false;     // x: user.*
  bool fallocate = false;  // f
};
extern Features g_features;

// --- open files ---

constexpr int kSlots = 6;
extern int g_fd[kSlots];
inline int Slot() { return static_cast<int>(Below(kSlots)); }

// --- printing ---

void Say(const char* format, ...) __attribute__((format(printf, 1, 2)));
// The name of errno if `result` is negative, else "".
const char* Error(long result);
// Mode, owner, links, size, device; `number`: a name for the inode number.
std::string StatText(const struct stat& st, bool number = false);
uint32_t Sum(const char* bytes, size_t size);

// Says whether times (and the number) of a path and its directory change between construction and
// Tell(). Sleeps over a tick of the clock, so only now and then.
class Watch {
 public:
  explicit Watch(std::string path);
  void Tell();

 private:
  struct Look {
    bool found = false, parent_found = false;
    struct stat st, parent;
  };
  static Look LookAt(const std::string& path);

  const std::string path_;
  const bool on_;
  Look before_;
};

// --- the operations ---

struct Operation {
  void (*run)();
  int weight;
};
void OpOpen();
void OpOpenat2();
void OpClose();
void OpWrite();
void OpRead();
void OpSeek();
void OpTrunc();
void OpFalloc();
void OpFstat();
void OpCopy();
void OpMmap();
void OpLock();
void OpFcntl();
void OpStat();
void OpMkdir();
void OpRmdir();
void OpUnlink();
void OpLink();
void OpSymlink();
void OpReadlink();
void OpRename();
void OpMknod();
void OpChmod();
void OpChown();
void OpTimes();
void OpAccess();
void OpXattr();
void OpLs();
void OpLsFd();
void OpChdir();
void OpId();
void OpUmask();
void OpStatx();

}  // namespace tree

#endif  // TEST_FUZZ_TREE_TREE_H_
