#pragma once

#include <sys/types.h>

#include <vector>

#include "test/fuzz/call_shapes.h"
#include "test/fuzz/random.h"

namespace fuzz {

inline constexpr size_t kPage = 4096;

// Memory that all threads of a process use, map and unmap at will. Only system calls, and code
// that expects the fault (Touch), look at it.
struct SharedArea {
  char* base = nullptr;
  static constexpr size_t kPages = 256;
};

// Makes arguments for one thread's calls and remembers what calls gave.
class Arguments {
 public:
  Arguments(Random& random, const SharedArea& shared);
  Arguments(const Arguments&) = delete;

  uint64_t Make(const Arg& arg);
  // An address that a call cannot use, or not all of it: no page, edge of a page, read-only,
  // PROT_NONE, beyond the end of a mapped file, the kernel's half, not canonical.
  uint64_t BadPointer();
  uint64_t Pointer(size_t length);
  // Somewhere in the area that all threads use.
  uint64_t SharedPointer();
  int FdValue();
  uint64_t Region();
  uint64_t Length();
  uint64_t Number();
  // Room that only this thread uses.
  char* Scratch(size_t length);

  std::vector<int> fds;
  std::vector<uint64_t> regions;
  std::vector<pid_t> children;
  // Threads pick small descriptor numbers, so that they meet each other's files.
  bool share_fds = false;

 private:
  uint64_t Path();
  uint64_t Time();
  uint64_t IoVector();
  uint64_t Message();
  uint64_t SocketAddress();
  uint64_t Flags(uint64_t bits);
  uint64_t Sigset();
  uint64_t Xattr();
  pid_t Child();

  Random& random_;
  const SharedArea& shared_;
  char* arena_;
  char* beyond_file_ = nullptr;  // two pages of a file of twelve bytes
};

}  // namespace fuzz
