#ifndef SENTRY_KERNEL_IO_SIGNAL_H_
#define SENTRY_KERNEL_IO_SIGNAL_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/async.h"
#include "sentry/vfs/file.h"

namespace runsc {

// Whom an open file signals and with what (fcntl(2): F_SETOWN, F_SETOWN_EX, F_SETSIG). Thread-safe.
class IoSignal final : public IoOwner {
 public:
  enum class Kind : int32_t { kTask = 0, kProcess = 1, kGroup = 2 };  // F_OWNER_*
  struct Owner {
    Kind kind = Kind::kTask;
    Tid id = 0;  // 0: nobody, gone, or not visible
  };

  // The one of `file`, made on first use; null if it has none yet.
  static Ref<IoSignal> Of(File& file);
  static Ref<IoSignal> Find(File& file);

  // `id` is as `caller` sees it, 0 for nobody. `caller`'s ids say from now on who may be signalled.
  // ESRCH if nothing has that id.
  Status SetOwner(Task& caller, Kind kind, Tid id);
  // What a terminal does when the mode is switched on: if there is no owner, its foreground
  // `group`, or `caller`'s process if that is null.
  void SetDefaultOwner(Task& caller, Ref<ProcessGroup> group);
  Owner GetOwner(Task& viewer);
  // F_GETOWNER_UIDS, kernel ids.
  struct Ids {
    Uid real = 0, effective = 0;
  };
  Ids owner_ids();

  // 0: SIGIO that carries no information.
  void SetSignal(int32_t signal) { signal_.store(signal, std::memory_order_relaxed); }
  int32_t signal() const { return signal_.load(std::memory_order_relaxed); }
  // The descriptor by which the mode was switched on: si_fd.
  void SetDescriptor(FdNum fd) { fd_.store(fd.value, std::memory_order_relaxed); }

  void Signal(IoEvent event) override { Tell(event); }
  void SignalUrgent() override { Tell(std::nullopt); }

 private:
  // What the id stood for when it was set. For a process or group, `task` alone: what has that id
  // is a thread, which gets process-directed signals, or is not a group now.
  struct Target {
    Kind kind = Kind::kTask;
    Ref<Task> task;
    Ref<ThreadGroup> process;
    Ref<ProcessGroup> group;
    Ids ids;
    bool IsSet() const { return task || process || group; }
  };
  Target target();
  // No event: SIGURG.
  void Tell(std::optional<IoEvent> event);
  void SendTo(const Target& from, ThreadGroup& group, Task* thread, std::optional<IoEvent> event);

  std::atomic<int32_t> signal_{0};
  std::atomic<int32_t> fd_{-1};
  Mutex<LockRank::kIoSignal> mu_;
  Target target_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_IO_SIGNAL_H_
