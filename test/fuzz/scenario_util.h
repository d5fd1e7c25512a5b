#pragma once

#include <pthread.h>
#include <time.h>

#include <functional>

#include "test/fuzz/random.h"

namespace fuzz {

inline constexpr int kSceneMs = 250;

inline int64_t NowMs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Runs `body` in a thread of its own that nobody waits for: it may block for good.
inline pthread_t StartThread(const std::function<void()>& body) {
  auto* copy = new std::function<void()>(body);
  pthread_t thread = 0;
  auto main = [](void* arg) -> void* {
    (*static_cast<std::function<void()>*>(arg))();
    return nullptr;
  };
  if (pthread_create(&thread, nullptr, main, copy) == 0) pthread_detach(thread);
  return thread;
}

// Calls `body` again and again in `threads` threads besides this one until the scene's time is up.
inline void Crowd(Random& random, int threads, const std::function<void(Random&)>& body) {
  int64_t end = NowMs() + kSceneMs;
  auto loop = [body, end](uint64_t seed) {
    Random own(seed);
    while (NowMs() < end) body(own);
  };
  for (int i = 0; i < threads; i++) {
    uint64_t seed = random.Next();
    StartThread([loop, seed] { loop(seed); });
  }
  loop(random.Next());
}

}  // namespace fuzz
