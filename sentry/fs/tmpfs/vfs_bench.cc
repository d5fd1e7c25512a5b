// What calls on cached paths cost inside the sentry, without a platform's trap.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

struct World {
  std::unique_ptr<MemoryFile> memory = MemoryFile::Create(uint64_t{1} << 34);
  Ref<Credentials> creds = Credentials::NewRoot(UserNamespace::NewRoot());
  Ref<MountNamespace> ns = MountNamespace::New(Mount::New(Tmpfs::New(*memory, {}), 0, "none"));
  Ref<FsContext> fs = MakeRef<FsContext>(ns, ns->Root(), ns->Root(), 022);
  OpContext op{*creds};

  World() {
    for (const char* d : {"/usr", "/usr/lib", "/usr/lib/x86_64-linux-gnu"}) {
      (void)vfs::Mkdir(Ctx(), d, 0755);
    }
    (void)vfs::Symlink(Ctx(), "usr/lib", "/lib");
    Ref<File> f = vfs::Open(Ctx(), "/usr/lib/x86_64-linux-gnu/libc.so.6", O_CREAT | O_RDWR, 0755)
                      .value();
    std::string data(1 << 20, 'x');
    UserIn src(data.data(), data.size());
    IoContext io{*creds};
    (void)f->Write(io, src);
  }
  LookupContext Ctx() { return {op, *fs, Path(), 0}; }
};

World& W() {
  static World* w = new World;
  return *w;
}

constexpr char kDirect[] = "/usr/lib/x86_64-linux-gnu/libc.so.6";
constexpr char kLinked[] = "/lib/x86_64-linux-gnu/libc.so.6";
constexpr char kMissing[] = "/usr/lib/x86_64-linux-gnu/none";

void BM_Stat(benchmark::State& s) {
  for (auto _ : s) {
    Path p = *vfs::Lookup(W().Ctx(), kDirect, true);
    benchmark::DoNotOptimize(vfs::GetAttr(p));
  }
}
BENCHMARK(BM_Stat);

void BM_StatThroughLink(benchmark::State& s) {
  for (auto _ : s) {
    Path p = *vfs::Lookup(W().Ctx(), kLinked, true);
    benchmark::DoNotOptimize(vfs::GetAttr(p));
  }
}
BENCHMARK(BM_StatThroughLink);

void BM_StatMissing(benchmark::State& s) {
  for (auto _ : s) benchmark::DoNotOptimize(vfs::Lookup(W().Ctx(), kMissing, true).ok());
}
BENCHMARK(BM_StatMissing);

void BM_OpenClose(benchmark::State& s) {
  Ref<FdTable> fds = FdTable::New();
  for (auto _ : s) {
    FdNum fd = *fds->Install(*vfs::Open(W().Ctx(), kDirect, O_RDONLY, 0), false, 1024);
    Ref<File> f = *fds->Remove(fd);
    (void)fds->Closed(W().op, *f);
  }
}
BENCHMARK(BM_OpenClose);

void BM_Read(benchmark::State& s) {
  Ref<FdTable> fds = FdTable::New();
  FdNum fd = *fds->Install(*vfs::Open(W().Ctx(), kDirect, O_RDONLY, 0), false, 1024);
  std::string out(static_cast<size_t>(s.range(0)), ' ');
  IoContext io{*W().creds};
  for (auto _ : s) {
    Ref<File> f = *fds->GetReadable(fd);
    UserOut dst(out.data(), out.size());
    benchmark::DoNotOptimize(f->ReadAt(io, dst, 100).ok());
  }
}
BENCHMARK(BM_Read)->Arg(1)->Arg(65536);

void BM_Write(benchmark::State& s) {
  Ref<File> f = *vfs::Open(W().Ctx(), "/w", O_CREAT | O_RDWR, 0644);
  std::string in(static_cast<size_t>(s.range(0)), ' ');
  IoContext io{*W().creds};
  for (auto _ : s) {
    UserIn src(in.data(), in.size());
    uint64_t end;
    benchmark::DoNotOptimize(f->WriteAt(io, src, 0, &end).ok());
  }
}
BENCHMARK(BM_Write)->Arg(1)->Arg(65536);

void BM_CreateUnlink(benchmark::State& s) {
  for (auto _ : s) {
    (void)vfs::Open(W().Ctx(), "/usr/lib/new", O_CREAT | O_RDWR, 0644);
    (void)vfs::Unlink(W().Ctx(), "/usr/lib/new");
  }
}
BENCHMARK(BM_CreateUnlink);

}  // namespace
}  // namespace runsc

BENCHMARK_MAIN();
