#ifndef PLATFORM_SYSTRAP_STUB_H_
#define PLATFORM_SYSTRAP_STUB_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/errno.h"
#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/systrap/arena.h"

namespace runsc::platform::systrap {

// One host thread in a stub that runs guest code, and its shared memory.
struct GuestThread {
  uint32_t slot = Arena::kNone;
  ThreadCtx* ctx = nullptr;
  int tid = 0;
  int cpu = -1;                   // CPU it is bound to, -1 if none yet; its user's
  uint64_t cpu_nanos_before = 0;  // CPU time it had used when its present user took it
  // Address of the slot in the stub.
  uint64_t address() const { return STUB_SLOTS + uint64_t{slot} * STUB_SLOT_SIZE; }
  uint8_t* memory() const {
    return reinterpret_cast<uint8_t*>(ctx) + STUB_CTX_SIZE - STUB_SLOT_SIZE;
  }
};

// One stub process: the host side of one guest address space. Thread-safe.
class Stub : public RefCounted {
 public:
  // `index` is the stub's pair of pages; owned from here on.
  Stub(Arena& arena, uint32_t index) : arena_(arena), index_(index) {}
  ~Stub() override;

  // Writes the first batch, which makes one guest thread, for the stub to find when it starts.
  // EAGAIN if no slot or no descriptor is left.
  Status Prepare();
  // The process is there. Before any call below.
  void SetPid(int pid);
  int pid() const { return pid_; }
  uint32_t index() const { return index_; }
  // Batches of map operations so far.
  uint32_t batches() const { return batches_.load(std::memory_order_relaxed); }
  bool gone() const { return gone_.load(std::memory_order_acquire); }

  // Makes the control thread perform `ops` in order and waits for it; in a way that the guest can
  // not fake. First error, with every operation tried. ESRCH: the stub is gone. After an error of
  // a mapping its range is unmapped; if even that fails the stub is killed.
  Status Run(const ControlOp* ops, size_t count);

  // A guest thread waiting for registers: one that was released, or a new one.
  ErrnoOr<GuestThread*> AcquireThread();
  // There is one to acquire; EAGAIN if the host refuses it.
  Status EnsureThread();
  void ReleaseThread(GuestThread* thread);
  // Sends the interrupt signal.
  void Interrupt(const GuestThread& thread);
  // CPU time of all its threads, nanoseconds.
  uint64_t CpuNanos();

  // Ends the process; it is reaped soon after. `kept` is destroyed when it is dead.
  void Kill(std::unique_ptr<Baggage> kept = nullptr);
  // Reaper, when the process is dead but its pid not free yet: wakes everybody who waits for it;
  // nobody uses its pid any more when this returns.
  void MarkGone();

 private:
  Status RunBatchLocked(const ControlOp* ops, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status AwaitBatchLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status RunSinglyLocked(const ControlOp* ops, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status FinishStartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PostLocked(const ControlOp* ops, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void BindControlLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<GuestThread*> NewThreadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<std::unique_ptr<GuestThread>> NewSlot();
  Status AdoptTidLocked(GuestThread& thread, int64_t tid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Arena& arena_;
  const uint32_t index_;
  int pid_ = -1;
  // The control thread adds to it when a batch is done. No guest thread can: its filter lets it
  // name no descriptor.
  Fd done_;
  std::atomic<bool> gone_{false};
  std::atomic<uint32_t> batches_{0};

  // The control channel and the threads.
  Mutex<LockRank::kAddressSpace> mu_;
  uint32_t seq_ ABSL_GUARDED_BY(mu_) = 0;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  int control_cpu_ ABSL_GUARDED_BY(mu_) = -1;
  std::vector<std::unique_ptr<GuestThread>> threads_ ABSL_GUARDED_BY(mu_);
  // One of threads_ that the host has refused so far. Its slot may be mapped here already, so that it
  // cannot serve another stub.
  GuestThread* refused_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::vector<GuestThread*> parked_ ABSL_GUARDED_BY(mu_);

  // Held while pid_ is used for a host call, which is allowed while it is ours.
  Mutex<LockRank::kStubPid> pid_mu_;
  bool pid_is_ours_ ABSL_GUARDED_BY(pid_mu_) = false;
  std::unique_ptr<Baggage> baggage_ ABSL_GUARDED_BY(pid_mu_);
};

// The operations a control thread knows.
ControlOp MapOp(uint64_t address, uint64_t size, int prot, bool populate, int fd, uint64_t offset);
ControlOp UnmapOp(uint64_t address, uint64_t size);
ControlOp ProtectOp(uint64_t address, uint64_t size, int prot);

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_STUB_H_
