#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "platform/host/cpus.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_threads.h"

namespace runsc {
namespace {

// Handlers are shallow and keep big buffers off the stack; pages are only used when touched.
constexpr size_t kStackSize = 256 << 10;

}  // namespace

struct TaskThreads::Thread {
  TaskThreads* owner = nullptr;
  std::atomic<uint32_t> word{0};  // 0: asleep, 1: look at `task`
  Ref<Task> task;                 // null when woken: end
  int tid = 0;                    // both set when it is idle
  int cpu = -1;

  void Wake() {
    word.store(1, std::memory_order_release);
    syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
  }
  void Sleep() {
    while (word.load(std::memory_order_acquire) == 0) {
      syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, nullptr, nullptr, 0);
    }
    word.store(0, std::memory_order_relaxed);
  }
};

TaskThreads::~TaskThreads() {
  std::vector<Thread*> idle;
  {
    MutexLock l(mu_);
    closing_ = true;
    idle.swap(idle_);
  }
  for (Thread* t : idle) t->Wake();
  MutexLock l(mu_);
  while (count_ != 0) ended_.Wait(mu_);
}

ErrnoOr<std::unique_ptr<platform::Context>> TaskThreads::NewContext(platform::Platform& platform) {
  {
    MutexLock l(mu_);
    if (!contexts_.empty()) {
      auto context = std::move(contexts_.back());
      contexts_.pop_back();
      return context;
    }
  }
  return platform.NewContext();
}

void TaskThreads::RecycleContext(std::unique_ptr<platform::Context> context) {
  context->Release();
  MutexLock l(mu_);
  if (contexts_.size() < kContextLimit) contexts_.push_back(std::move(context));
}

// Answers whether to run another task; the thread is asleep meanwhile.
bool TaskThreads::Park(Thread& self) {
  {
    MutexLock l(mu_);
    if (closing_ || idle_.size() >= kIdleLimit) return false;
    self.cpu = sched_getcpu();
    idle_.push_back(&self);
  }
  pthread_setname_np(pthread_self(), "task-idle");
  self.Sleep();
  return static_cast<bool>(self.task);
}

void* TaskThreads::Main(void* arg) {
  std::unique_ptr<Thread> self(static_cast<Thread*>(arg));
  TaskThreads& owner = *self->owner;
  self->tid = static_cast<int>(syscall(SYS_gettid));
  do {
    Ref<Task> task = std::move(self->task);
    char name[16];
    snprintf(name, sizeof(name), "task-%d", task->tid());
    pthread_setname_np(pthread_self(), name);
    owner.body_(*task);
  } while (owner.Park(*self));
  self.reset();
  MutexLock l(owner.mu_);
  if (--owner.count_ == 0) owner.ended_.NotifyAll();
  return nullptr;
}

// Where the caller is: a new task's creator most often waits for it, and waking another CPU costs
// more than all the rest. New threads inherit the caller's binding, the idle have their last.
TaskThreads::Thread* TaskThreads::TakeIdleLocked() {
  if (idle_.empty()) return nullptr;
  const int here = sched_getcpu();
  auto it = std::find_if(idle_.rbegin(), idle_.rend(),
                         [here](const Thread* t) { return t->cpu == here; });
  if (it == idle_.rend()) it = idle_.rbegin();
  Thread* thread = *it;
  idle_.erase(std::next(it).base());
  if (thread->cpu != here && here >= 0) host::BindToCpu(thread->tid, here);
  return thread;
}

Status TaskThreads::Start(Ref<Task> task) {
  Thread* thread = nullptr;
  {
    MutexLock l(mu_);
    thread = TakeIdleLocked();
    if (thread == nullptr) ++count_;
  }
  if (thread != nullptr) {
    thread->task = std::move(task);
    thread->Wake();
    return Ok();
  }
  thread = new Thread;
  thread->owner = this;
  thread->task = std::move(task);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, kStackSize);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_t id;
  int error = pthread_create(&id, &attr, &Main, thread);
  pthread_attr_destroy(&attr);
  if (error == 0) return Ok();
  delete thread;
  MutexLock l(mu_);
  --count_;
  return Errno::kAgain;
}

}  // namespace runsc
