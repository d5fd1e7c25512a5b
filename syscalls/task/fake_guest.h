#ifndef SYSCALLS_TASK_FAKE_GUEST_H_
#define SYSCALLS_TASK_FAKE_GUEST_H_

#include <sys/syscall.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "platform/api/platform.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "syscalls/table/server.h"

namespace runsc {

// Guest programs for tests without a CPU to run them: a program is a list of steps, each a C++
// function that ends in a system call (or does nothing) and sees the last call's result. The
// program counter says which step of which program is next, so fork, handlers and restarts work
// as they do for real code.
class Guest {
 public:
  explicit Guest(arch::Registers& regs) : regs(regs) {}
  // The step ends in this call.
  void Call(int64_t number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
            uint64_t e = 0) {
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.r10 = d;
    regs.r8 = e;
    regs.rax = static_cast<uint64_t>(number);
    called = true;
  }
  int64_t result() const { return static_cast<int64_t>(regs.rax); }
  // Which step comes next, of this program.
  void Goto(uint64_t step) { regs.rip = (regs.rip & ~uint64_t{0xffff}) | step * 2; }
  // The step runs until an interrupt.
  void Spin() { spin = true; }
  template <typename T>
  T Load(uint64_t addr) {
    return Task::Current()->mem().Get<T>(UserAddr(addr)).value_or(T{});
  }
  template <typename T>
  void Store(uint64_t addr, T value) {
    (void)Task::Current()->mem().Put(UserAddr(addr), value);
  }

  arch::Registers& regs;
  bool called = false;
  bool spin = false;
};

using Step = std::function<void(Guest&)>;
using Program = std::vector<Step>;

// Address of a step, for handlers and threads.
inline uint64_t StepAddress(int program, uint64_t step) {
  return static_cast<uint64_t>(program) << 16 | step * 2;
}

inline constexpr uint64_t kGuestData = 0x10000000;   // read-write memory for programs
inline constexpr uint64_t kGuestStack = 0x10100000;  // top of the stack

class GuestPrograms {
 public:
  static std::vector<Program>& All() {
    static std::vector<Program> programs;
    return programs;
  }
};

class FakeContext : public platform::Context {
 public:
  platform::Stop Switch(platform::AddressSpace&, arch::Registers& regs) override {
    for (;;) {
      if (interrupted_.exchange(false)) return {.event = platform::Event::kInterrupted};
      const Program& program = GuestPrograms::All()[regs.rip >> 16];
      uint64_t step = (regs.rip & 0xffff) / 2;
      if (step >= program.size()) {
        return {.event = platform::Event::kFault, .address = regs.rip, .access = {.exec = true}};
      }
      bool restart = regs.rax == SYS_restart_syscall && restarting_ == regs.rip;
      restarting_ = 0;
      regs.rip += 2;
      Guest guest(regs);
      if (restart) {
        guest.Call(SYS_restart_syscall);
      } else {
        program[step](guest);
      }
      if (guest.spin) Wait();
      if (!guest.called) continue;
      regs.orig_rax = regs.rax;
      restarting_ = regs.rip - 2;
      return {.event = platform::Event::kSyscall};
    }
  }
  void Interrupt() override {
    interrupted_.store(true);
    std::lock_guard l(mu_);
    cv_.notify_all();
  }
  arch::FpuState SaveFpu() override { return arch::InitialFpuState(); }
  void LoadFpu(const arch::FpuState&) override {}
  uint64_t GuestCpuNanos() override { return 0; }
  void SetAffinity(const platform::CpuSet&) override {}
  void Release() override {}

 private:
  void Wait() {
    std::unique_lock l(mu_);
    cv_.wait(l, [this] { return interrupted_.load(); });
  }
  std::atomic<bool> interrupted_{false};
  uint64_t restarting_ = 0;
  std::mutex mu_;
  std::condition_variable cv_;
};

class NoAddressSpace : public platform::AddressSpace {
 public:
  Status MapFile(AddrRange, platform::MapSource, Access, bool) override { return Ok(); }
  void Unmap(AddrRange) override {}
  Status Protect(AddrRange, Access) override { return Ok(); }
  void Close(std::unique_ptr<platform::Baggage>) override {}
};

class FakeGuestPlatform : public platform::Platform {
 public:
  const char* name() const override { return "fake"; }
  AddrRange user_range() const override { return {0x10000, 0x7ffffffff000}; }
  ErrnoOr<std::unique_ptr<platform::AddressSpace>> NewAddressSpace() override {
    return std::unique_ptr<platform::AddressSpace>(new NoAddressSpace);
  }
  ErrnoOr<std::unique_ptr<platform::Context>> NewContext() override {
    return std::unique_ptr<platform::Context>(new FakeContext);
  }
};

// Loads "programN" as GuestPrograms::All()[N].
class FakeLoader : public ProgramLoader {
 public:
  FakeLoader(platform::Platform& platform, MemoryFile& memory)
      : platform_(platform), memory_(memory) {}
  ErrnoOr<LoadedProgram> Load(const LoadRequest& request) override {
    size_t at = request.filename.rfind("program");
    if (at == std::string::npos) return Errno::kNoent;
    LoadedProgram p;
    p.mm = TRY(MemoryManager::Create(platform_, memory_));
    p.mm->SetLayout(false, request.stack_limit);
    MMapRequest map{.addr = UserAddr(kGuestData),
                    .length = kGuestStack - kGuestData,
                    .access = {true, true, false},
                    .fixed = true};
    TRY(p.mm->MMap(map, MemoryLimits{}));
    int number = atoi(request.filename.c_str() + at + 7);
    p.regs = arch::InitialRegisters(StepAddress(number, 0), kGuestStack - 64);
    p.comm = request.filename.substr(at);
    p.creds = request.op.task != nullptr ? request.op.task->creds_ref()
                                         : Ref<const Credentials>(&request.op.creds);
    return p;
  }

 private:
  platform::Platform& platform_;
  MemoryFile& memory_;
};

// A kernel with fake guests.
class FakeMachine : public ExitListener {
 public:
  FakeMachine() {
    memory_ = MemoryFile::Create(uint64_t{1} << 30);
    loader_ = std::make_unique<FakeLoader>(platform_, *memory_);
    KernelOptions options;
    options.platform = &platform_;
    options.memory = memory_.get();
    options.syscalls = &server_;
    options.loader = loader_.get();
    options.cpus = 2;
    options.total_memory = uint64_t{1} << 30;
    kernel_ = Kernel::Create(options);
  }

  // Runs program 0 as init until it exits.
  ExitStatus Run(std::vector<Program> programs) {
    GuestPrograms::All() = std::move(programs);
    ErrnoOr<Ref<ThreadGroup>> init = Create();
    if (!init.ok()) return ExitStatus{.code = 255};
    if (!kernel_->StartProcess(**init).ok()) return ExitStatus{.code = 255};
    std::unique_lock l(mu_);
    cv_.wait(l, [this] { return ended_; });
    return status_;
  }
  // Program 0 as init, not started.
  ErrnoOr<Ref<ThreadGroup>> Create() {
    auto fs = Tmpfs::New(*memory_, TmpfsOptions{});
    auto mount = MakeRef<Mount>(fs, Dentry::NewRoot(fs->root()), 0, "tmpfs");
    Ref<MountNamespace> mounts = MountNamespace::New(mount);
    ProcessArgs args;
    args.filename = "/program0";
    args.creds = Credentials::NewRoot(kernel_->root_user_namespace());
    args.fs = MakeRef<FsContext>(mounts, mounts->Root(), mounts->Root(), 022);
    args.fds = FdTable::New();
    args.listener = this;
    return kernel_->CreateProcess(std::move(args));
  }
  Kernel& kernel() { return *kernel_; }

  void OnExit(ThreadGroup&, ExitStatus status) override {
    std::lock_guard l(mu_);
    status_ = status;
    ended_ = true;
    cv_.notify_all();
  }

 private:
  FakeGuestPlatform platform_;
  std::unique_ptr<MemoryFile> memory_;
  std::unique_ptr<FakeLoader> loader_;
  TableServer server_;
  std::mutex mu_;
  std::condition_variable cv_;
  bool ended_ = false;
  ExitStatus status_;
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace runsc

#endif  // SYSCALLS_TASK_FAKE_GUEST_H_
