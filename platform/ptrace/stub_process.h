#ifndef PLATFORM_PTRACE_STUB_PROCESS_H_
#define PLATFORM_PTRACE_STUB_PROCESS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/fd.h"
#include "platform/ptrace/stub_layout.h"

namespace runsc::ptrace_platform {

// The files that all stubs of a platform share with the sentry.
class StubFiles {
 public:
  static constexpr uint32_t kMaxStubs = 4096;

  static ErrnoOr<std::unique_ptr<StubFiles>> Create();
  ~StubFiles();

  int code_fd() const { return code_.get(); }
  int control_fd() const { return control_.get(); }
  // A zeroed request slot. EAGAIN: too many stubs.
  ErrnoOr<uint32_t> TakeSlot();
  void ReturnSlot(uint32_t slot);
  StubRequest* At(uint32_t slot) const { return requests_ + slot; }
  static uint64_t Offset(uint32_t slot) { return uint64_t{slot} * sizeof(StubRequest); }

 private:
  StubFiles() = default;

  Fd code_;
  Fd control_;
  StubRequest* requests_ = nullptr;
  Mutex<LockRank::kPlatform> mu_;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mu_);
  uint32_t next_ ABSL_GUARDED_BY(mu_) = 0;
};

// A place for one guest thread to run in: a process that shares the stub's memory, and its fault slot.
struct Place {
  int32_t pid = -1;
  uint32_t slot = 0;
};

// One stub process: its leader makes host calls on request, in the stub's own address space.
// Not thread-safe.
class StubProcess {
 public:
  // The first stub, forked from the sentry. The calling thread must outlive all stubs, which die
  // with it, and have its final user and group ids.
  static ErrnoOr<std::unique_ptr<StubProcess>> SpawnTemplate(StubFiles& files);
  // A copy of this one.
  ErrnoOr<std::unique_ptr<StubProcess>> Fork();
  // A parked place, new if need be. It is the caller's until given back, parked or dead.
  ErrnoOr<Place> TakePlace();
  void ReturnParked(Place place) { parked_.push_back(place); }
  void ReturnDead(Place place) { free_slots_.push_back(place.slot); }
  // Kills and reaps it and what is parked.
  ~StubProcess();

  struct Outcome {
    size_t done = 0;            // ops that succeeded, from the first
    Errno error = Errno::kOk;   // of the op after them; kSrch: the stub is gone
    int32_t last = 0;           // low half of the last op's result
  };
  // Makes the calls of `ops` in order until one fails.
  Outcome Run(std::span<const StubOp> ops);

  int32_t pid() const { return pid_; }
  bool gone() const { return gone_; }

 private:
  StubProcess(StubFiles& files, uint32_t slot) : files_(files), slot_(slot) {}
  static ErrnoOr<std::unique_ptr<StubProcess>> Prepare(StubFiles& files);
  ErrnoOr<int32_t> NewThread();
  Outcome RunSome(std::span<const StubOp> ops);
  bool AwaitReply();
  void FollowCaller();

  StubFiles& files_;
  const uint32_t slot_;
  Fd done_;
  Fd result_;
  int32_t pid_ = -1;
  int cpu_ = -1;
  bool gone_ = false;
  std::vector<Place> parked_;
  std::vector<uint32_t> free_slots_;
  uint32_t next_slot_ = 0;
};

// Kills and reaps a stub or a guest thread's process that no other thread traces.
void KillStub(int32_t pid);

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_STUB_PROCESS_H_
