// What files cost the sentry alone, without the trap: stat, open and listings of a rootfs as it is
// (tmpfs over gofer), cold and warm. Prints microseconds.
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "gofer/client/test_server.h"
#include "platform/base/log.h"
#include "platform/memory/memory_file.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/overlay/overlay_fs.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

double Now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

void Measure(const char* what, int n, const std::function<void()>& f) {
  double start = Now();
  for (int i = 0; i < n; ++i) f();
  std::printf("%-52s %10.2f us\n", what, (Now() - start) / n);
}

class Names : public DirSink {
 public:
  bool Add(std::string_view name, uint64_t ino, uint32_t type, int64_t next) override {
    if (name != "." && name != "..") all.emplace_back(name, type);
    return true;
  }
  std::vector<std::pair<std::string, uint32_t>> all;
};

struct Bench {
  Ref<Credentials> creds = Credentials::NewRoot(UserNamespace::NewRoot());
  OpContext op{*creds};
  Ref<FsContext> fs;
  size_t seen = 0;

  LookupContext Ctx() { return {op, *fs, fs->cwd()}; }
  // As find(1): opens and lists directories, stats only those (or all, as `find -size`).
  void Find(const std::string& path, bool stat_all) {
    auto dir = vfs::Open(Ctx(), path, O_RDONLY | O_DIRECTORY, 0);
    if (!dir.ok()) return;
    Names names;
    if (!(*dir)->ReadDir(op, names).ok()) return;
    seen += names.all.size();
    for (auto& [name, type] : names.all) {
      std::string child = path + "/" + name;
      if (stat_all || type == S_IFDIR) {
        auto at = vfs::Lookup(Ctx(), child, false);
        if (at.ok()) (void)vfs::GetAttr(*at).ok();
      }
      if (type == S_IFDIR) Find(child, stat_all);
    }
  }
};

void Run(const std::string& tree) {
  gofer::TestServer server("/", true);
  auto client = server.Connect();
  auto memory = MemoryFile::Create(1ull << 30);
  auto lower = GoferFs::Attach(*client, 0, {}).value();
  Bench b;
  auto ns = MountNamespace::New(Mount::New(
      OverlayFs::Create(Tmpfs::New(*memory, TmpfsOptions{}), lower).value(), 0, "bench"));
  b.fs = MakeRef<FsContext>(ns, ns->Root(), ns->Root(), 022);
  std::string path = "/etc/passwd";
  Measure("stat, cold", 1, [&] { (void)vfs::Lookup(b.Ctx(), path, true).ok(); });
  Measure("stat, warm", 100000, [&] { (void)vfs::GetAttr(*vfs::Lookup(b.Ctx(), path, true)).ok(); });
  char buffer[4096];
  auto open_read = [&] {
    auto f = vfs::Open(b.Ctx(), path, O_RDONLY, 0);
    IoContext io{*b.creds};
    UserOut dst(buffer, sizeof(buffer));
    (void)(*f)->ReadAt(io, dst, 0).ok();
  };
  Measure("open+read+close, cold", 1, open_read);
  Measure("open+read+close, warm", 20000, open_read);
  for (bool all : {false, true}) {
    for (const char* how : {"cold", "warm"}) {
      b.seen = 0;
      std::string what = std::string(all ? "find, stat of all, " : "find, ") + how;
      Measure(what.c_str(), 1, [&] { b.Find(tree, all); });
    }
  }
  std::printf("%zu entries\n", b.seen);
  b.fs.reset();
  DentryCache::Purge(nullptr);
}

}  // namespace
}  // namespace runsc

int main(int argc, char** argv) { runsc::Run(argc > 1 ? argv[1] : "/usr"); }
