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

void TaskCpu::Start(platform::Context* context) {
  clockid_t id = CLOCK_THREAD_CPUTIME_ID;
  pthread_getcpuclockid(pthread_self(), &id);
  uint64_t system = ReadClock(CLOCK_THREAD_CPUTIME_ID);
  MutexLock l(mu_);
  context_ = context;
  thread_clock_ = id;
  user_base_ = context->GuestCpuNanos();
  system_base_ = system;
  if (restricted_) context->SetAffinity(affinity_);
}

void TaskCpu::Stop() {
  MutexLock l(mu_);
  if (context_ == nullptr) return;
  user_ = context_->GuestCpuNanos() - user_base_;
  system_ = ReadClock(thread_clock_) - system_base_;
  // Its next task starts without.
  if (restricted_) context_->SetAffinity(platform::CpuSet().set());
  context_ = nullptr;
}

uint64_t TaskCpu::UserNanos() {
  MutexLock l(mu_);
  return context_ == nullptr ? user_ : context_->GuestCpuNanos() - user_base_;
}

uint64_t TaskCpu::SystemNanos() {
  MutexLock l(mu_);
  return context_ == nullptr ? system_ : ReadClock(thread_clock_) - system_base_;
}

void TaskCpu::InterruptContext() {
  MutexLock l(mu_);
  if (context_ != nullptr) context_->Interrupt();
}

platform::CpuSet TaskCpu::affinity() {
  MutexLock l(mu_);
  return affinity_;
}

void TaskCpu::InitAffinity(const platform::CpuSet& cpus) {
  MutexLock l(mu_);
  affinity_ = cpus;
}

void TaskCpu::SetAffinity(const platform::CpuSet& cpus) {
  MutexLock l(mu_);
  affinity_ = cpus;
  restricted_ = true;
  if (context_ != nullptr) context_->SetAffinity(cpus);
}

void TaskCpu::InheritAffinity(TaskCpu& parent) {
  platform::CpuSet cpus;
  bool restricted;
  {
    MutexLock l(parent.mu_);
    cpus = parent.affinity_;
    restricted = parent.restricted_;
  }
  MutexLock l(mu_);
  affinity_ = cpus;
  restricted_ = restricted;
}

}  // namespace runsc
