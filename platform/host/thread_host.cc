#include "platform/host/thread.h"

#include <memory>
#include <utility>

#include "platform/base/log.h"

namespace runsc::host {
namespace {

// Pages are only used when touched, but the address space may be limited.
constexpr size_t kStackSize = 256 << 10;

}  // namespace

Thread::~Thread() { CHECK_OR_PANIC(!running_); }

void* Thread::Main(void* body) {
  std::unique_ptr<std::function<void()>> own(static_cast<std::function<void()>*>(body));
  (*own)();
  return nullptr;
}

Status Thread::Start(std::function<void()> body) {
  CHECK_OR_PANIC(!running_);
  auto own = std::make_unique<std::function<void()>>(std::move(body));
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, kStackSize);
  const int error = pthread_create(&id_, &attr, &Main, own.get());
  pthread_attr_destroy(&attr);
  if (error != 0) return Errno::kAgain;
  own.release();  // Main's
  running_ = true;
  return Ok();
}

void Thread::Join() {
  pthread_join(id_, nullptr);
  running_ = false;
}

void Thread::Detach() {
  pthread_detach(id_);
  running_ = false;
}

}  // namespace runsc::host
