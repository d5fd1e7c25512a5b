#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include "platform/systrap/systrap.h"
#include "sentry/mm/memory_manager.h"
using namespace runsc;
using Clock = std::chrono::steady_clock;
static double Us(Clock::time_point a, Clock::time_point b) { return std::chrono::duration<double, std::micro>(b - a).count(); }
template <typename F> void Best(const char* name, int rounds, F f) {
  double best = 1e9, sum = 0;
  for (int i = 0; i < rounds; ++i) { auto a = Clock::now(); f(); double t = Us(a, Clock::now()); best = std::min(best, t); sum += t; }
  printf("%-40s best %8.2f us mean %8.2f\n", name, best, sum / rounds);
}
static const unsigned char kTouch[] = {0xC6,0x07,0x01,0x48,0x81,0xC7,0,0x10,0,0,0x48,0xFF,0xC9,0x75,0xF1,0x0F,0x05};
static const MemoryLimits L;
int faults = 0;
struct Thread {
  Ref<MemoryManager> mm; std::unique_ptr<platform::Context> c; arch::Registers r{};
  void Run(uint64_t pc, uint64_t addr, uint64_t pages) {
    r.set_pc(pc); r.rdi = addr; r.rcx = pages; r.orig_rax = static_cast<uint64_t>(-1);
    for (;;) {
      platform::Stop s = c->Switch(mm->address_space(), r);
      if (s.event == platform::Event::kSyscall) return;
      if (s.event == platform::Event::kFault) { ++faults; auto o = mm->HandleFault(UserAddr(s.address), s.access, L); if (o.handled) continue; }
      printf("stop event %d addr %lx sig %d\n", (int)s.event, s.address, s.signal.value); exit(1);
    }
  }
};
int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  InstallFaultHandler();
  auto mem = MemoryFile::Create(uint64_t{1} << 42);
  platform::PlatformOptions o; o.memory_fd = mem->fd(); o.cpus = 2;
  auto plat = platform::SystrapFactory().create(o);
  if (!plat.ok()) { printf("no platform\n"); return 1; }
  auto& p = **plat;
  auto ctx = p.NewContext(); Thread t; t.mm = *MemoryManager::Create(p, *mem); t.c = std::move(ctx).value(); t.mm->SetLayout(true, 8 << 20);
  MMapRequest q; q.length = 4096; q.access = {true, true, true};
  UserAddr code = *t.mm->MMap(q, L); (void)t.mm->CopyOut(code, kTouch, sizeof kTouch);
  q.access = {true, true, false};
  // other mappings, as a program has
  for (int i = 0; i < 10; ++i) { q.length = 16 * 4096; q.access.exec = false; auto a = *t.mm->MMap(q, L); char b[65536]; memset(b, 1, sizeof b); (void)t.mm->CopyOut(a, b, sizeof b); q.access.read = false; q.access.write=false; q.length = 4096; (void)t.mm->MMap(q, L); q.access = {true,true,false}; }
  UserAddr stack = *t.mm->MMap(q, L);
  t.r = arch::InitialRegisters(code.value, stack.value + 2048);
  t.Run(code.value, stack.value, 1);
  Best("switch", 2000, [&] { t.Run(code.value, stack.value, 1); });
  for (uint64_t n : {1, 16, 64, 256}) {
    char name[64]; snprintf(name, 64, "mmap+touch %lu+munmap", n);
    Best(name, 1000, [&] { q.length = n * 4096; auto a = *t.mm->MMap(q, L); t.Run(code.value, a.value, n); (void)t.mm->MUnmap(a, n * 4096); });
    snprintf(name, 64, "native mmap+touch %lu+munmap", n);
    Best(name, 1000, [&] { char* a = (char*)mmap(0, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); for (uint64_t i = 0; i < n; ++i) a[i * 4096] = 1; munmap(a, n * 4096); });
    if (n == 16) {
      std::vector<UserAddr> left;
      Best("  mmap alone (16)", 300, [&] { q.length = n * 4096; auto a = *t.mm->MMap(q, L); left.push_back(a); });
      for (UserAddr a : left) (void)t.mm->MUnmap(a, n * 4096);
      Best("  mmap+munmap (16)", 300, [&] { q.length = n * 4096; auto a = *t.mm->MMap(q, L); (void)t.mm->MUnmap(a, n * 4096); });
    }
  }

  Best("mm fork (no run) + destroy", 300, [&] { auto c = *t.mm->Fork(UserAddr(t.r.sp())); t.Run(code.value, stack.value, 1); });
  double f1 = 1e9, f2 = 1e9, f3 = 1e9, f4 = 1e9, f5 = 1e9;
  for (int i = 0; i < 200; ++i) {
    auto a = Clock::now();
    auto c = *t.mm->Fork(UserAddr(t.r.sp()));
    auto b = Clock::now();
    Thread ch; ch.mm = c; ch.c = p.NewContext().value(); ch.r = t.r;
    ch.Run(code.value, stack.value, 1);
    auto d = Clock::now();
    ch.c->Release(); ch.c.reset(); ch.mm->Clear();
    auto e = Clock::now();
    ch.mm.reset(); c.reset();
    auto f = Clock::now();
    f1 = std::min(f1, Us(a, b)); f2 = std::min(f2, Us(b, d)); f3 = std::min(f3, Us(d, e)); f4 = std::min(f4, Us(e, f));
  }
  printf("fork %.1f  child context+first run %.1f  clear %.1f destroy %.1f\n", f1, f2, f3, f4);
  for (int i = 0; i < 200; ++i) { auto a = Clock::now(); { auto c = p.NewAddressSpace(); } f5 = std::min(f5, Us(a, Clock::now())); }
  printf("new address space + destroy %.1f\n", f5);
  FileRange fr = *mem->Allocate(64 * 4096);
  memset(mem->At(fr.start), 1, 64 * 4096);
  for (int n : {1, 2, 10, 20}) {
    double m1 = 1e9, m2 = 1e9, m3 = 1e9;
    for (int i = 0; i < 100; ++i) {
      auto as = p.NewAddressSpace().value();
      auto a = Clock::now();
      as->BeginBatch();
      for (int k = 0; k < n; ++k) (void)as->MapFile({0x10000000u + k * 0x10000, 0x10000000u + k * 0x10000 + 4096}, {mem->fd(), fr.start + (k % 60) * 4096}, {true, true, false}, false);
      (void)as->EndBatch();
      auto b = Clock::now();
      as->BeginBatch();
      for (int k = 0; k < n; ++k) (void)as->Protect({0x10000000u + k * 0x10000, 0x10000000u + k * 0x10000 + 4096}, {true, false, false});
      (void)as->EndBatch();
      auto c = Clock::now();
      as.reset();
      m1 = std::min(m1, Us(a, b)); m2 = std::min(m2, Us(b, c)); m3 = std::min(m3, Us(c, Clock::now()));
    }
    printf("batch of %d maps %.1f, protects %.1f, destroy %.1f\n", n, m1, m2, m3);
  }
  Best("native fork+wait", 200, [&] { pid_t c = fork(); if (c == 0) _exit(0); waitpid(c, 0, 0); });
  q.length = 64 * 4096;
  UserAddr w = *t.mm->MMap(q, L);
  t.Run(code.value, w.value, 64);
  {
    auto c = *t.mm->Fork(UserAddr(t.r.sp()));
    faults = 0;
    auto a = Clock::now();
    t.Run(code.value, w.value, 64);
    printf("cow 64 pages: %.1f us, %d faults\n", Us(a, Clock::now()), faults);
  }
  return 0;
}
