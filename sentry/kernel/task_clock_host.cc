#include <pthread.h>
#include <time.h>

#include "sentry/kernel/task_state.h"

namespace runsc {
namespace {

uint64_t ReadClock(clockid_t id) {
  timespec ts{};
  if (clock_gettime(id, &ts) != 0) return 0;
  return static_cast<uint64_t>(ts.tv_sec) * 1000000000 + static_cast<uint64_t>(ts.tv_nsec);
}

}  // namespace

void TaskClock::Start(platform::Context* context) {
  clockid_t id = CLOCK_THREAD_CPUTIME_ID;
  pthread_getcpuclockid(pthread_self(), &id);
  uint64_t system = ReadClock(CLOCK_THREAD_CPUTIME_ID);
  MutexLock l(mu_);
  context_ = context;
  thread_clock_ = id;
  user_base_ = context->GuestCpuNanos();
  system_base_ = system;
}

void TaskClock::Stop() {
  MutexLock l(mu_);
  if (context_ == nullptr) return;
  user_ = context_->GuestCpuNanos() - user_base_;
  system_ = ReadClock(thread_clock_) - system_base_;
  context_ = nullptr;
}

uint64_t TaskClock::UserNanos() {
  MutexLock l(mu_);
  return context_ == nullptr ? user_ : context_->GuestCpuNanos() - user_base_;
}

uint64_t TaskClock::SystemNanos() {
  MutexLock l(mu_);
  return context_ == nullptr ? system_ : ReadClock(thread_clock_) - system_base_;
}

void TaskClock::InterruptContext() {
  MutexLock l(mu_);
  if (context_ != nullptr) context_->Interrupt();
}

}  // namespace runsc
