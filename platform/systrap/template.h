#ifndef PLATFORM_SYSTRAP_TEMPLATE_H_
#define PLATFORM_SYSTRAP_TEMPLATE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "platform/host/thread.h"
#include "platform/systrap/arena.h"

namespace runsc::platform::systrap {

// The template process: has nothing but the stub's code mapped, runs no guest code, and forks
// stubs on request, which become children of the sentry. One thread of the sentry is its parent
// and reaps it and all stubs; when that thread or the sentry dies, the host kills them all.
class StubTemplate {
 public:
  // Starts it. `on_death(pid)` is called by the reaping thread when a stub has died and before its
  // pid can be reused; `on_reaped(pid)` after.
  static std::unique_ptr<StubTemplate> Start(Arena& arena, std::function<void(int)> on_death,
                                             std::function<void(int)> on_reaped, std::string* why);
  ~StubTemplate() { Shutdown(); }
  StubTemplate(const StubTemplate&) = delete;

  // Asks for one more stub, of which `index` names the pages. False if the ring is full or the
  // template is dead. The caller serialises requests.
  bool Request(uint32_t index);
  // Requests answered so far; their results are at PidOf(0..).
  uint32_t Answered() const;
  // Pid that answered request `n` (counted from 0), or -errno. Valid for the last TEMPLATE_RING.
  int PidOf(uint32_t n) const;
  // Sleeps until more than `seen` requests are answered. False if the template is dead.
  bool AwaitAnswer(uint32_t seen) const;
  // Kills the template, and reaps it and all stubs, which must have been killed. Calls back.
  void Shutdown();
  bool dead() const { return dead_.load(std::memory_order_acquire); }

 private:
  explicit StubTemplate(Arena& arena) : arena_(arena) {}
  void ReaperMain(std::string* why, std::atomic<int>* started);
  bool Launch(std::string* why);
  void ReapUntilNoneLeft();

  Arena& arena_;
  std::function<void(int)> on_death_, on_reaped_;
  int pid_ = -1;
  uint32_t requested_ = 0;
  std::atomic<bool> dead_{false};
  host::Thread reaper_;
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_TEMPLATE_H_
