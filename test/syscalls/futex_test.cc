// futex operations, robust lists, set_tid_address.
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <climits>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

long Futex(std::atomic<int>* word, int op, int value, const timespec* timeout = nullptr,
           std::atomic<int>* word2 = nullptr, int value3 = 0) {
  return Raw(SYS_futex, word, op, value, timeout, word2, value3);
}

class FutexTest : public testing::Test {
 protected:
  // Starts a thread in FUTEX_WAIT; its result goes to results_.
  std::thread Waiter(std::atomic<int>* word, int op = FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
                     int bits = 0) {
    std::atomic<pid_t> tid{0};
    std::thread thread([=, this, &tid] {
      tid = static_cast<pid_t>(Raw(SYS_gettid));
      long result = Futex(word, op, 0, nullptr, nullptr, bits);
      if (result == 0) woken_++;
    });
    while (tid == 0) SleepMs(1);
    std::string path = "/proc/self/task/" + std::to_string(tid.load()) + "/stat";
    for (int i = 0; i < 5000; i++) {
      std::string stat = TryGetFile(path);
      if (stat.find(") S ") != std::string::npos) break;
      SleepMs(1);
    }
    return thread;
  }
  std::atomic<int> a_{0}, b_{0}, woken_{0};
};

TEST_F(FutexTest, WaitWithWrongValueIsEagain) {
  EXPECT_THAT(Futex(&a_, FUTEX_WAIT, 1), SyscallFailsWithErrno(EAGAIN));
}

TEST_F(FutexTest, WakeWithoutWaiters) {
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE, 1), SyscallSucceedsWithValue(0));
}

TEST_F(FutexTest, WaitAndWake) {
  std::thread t = Waiter(&a_);
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), SyscallSucceedsWithValue(1));
  t.join();
  EXPECT_EQ(woken_, 1);
}

TEST_F(FutexTest, WakeCountsAndAll) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) threads.push_back(Waiter(&a_));
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 2), SyscallSucceedsWithValue(2));
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX), SyscallSucceedsWithValue(2));
  for (auto& t : threads) t.join();
  EXPECT_EQ(woken_, 4);
}

TEST_F(FutexTest, RelativeTimeout) {
  timespec t = Millis(15);
  int64_t start = NowNs();
  EXPECT_THAT(Futex(&a_, FUTEX_WAIT, 0, &t), SyscallFailsWithErrno(ETIMEDOUT));
  EXPECT_GE(NowNs() - start, 15000000);
}

TEST_F(FutexTest, AbsoluteTimeout) {
  for (int clock : {0, FUTEX_CLOCK_REALTIME}) {
    int64_t at = NowNs(clock == 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME) + 10000000;
    timespec t = {at / 1000000000, at % 1000000000};
    EXPECT_THAT(Futex(&a_, FUTEX_WAIT_BITSET | clock, 0, &t, nullptr, -1),
                SyscallFailsWithErrno(ETIMEDOUT));
    EXPECT_GE(NowNs(clock == 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME), at);
  }
}

TEST_F(FutexTest, Errors) {
  auto* odd = reinterpret_cast<std::atomic<int>*>(reinterpret_cast<char*>(&a_) + 1);
  EXPECT_THAT(Futex(odd, FUTEX_WAIT, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Futex(odd, FUTEX_WAKE, 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Futex(reinterpret_cast<std::atomic<int>*>(8), FUTEX_WAIT, 0),
              SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Futex(&a_, 99, 0), SyscallFailsWithErrno(ENOSYS));
  timespec t = {0, 1000000000};
  EXPECT_THAT(Futex(&a_, FUTEX_WAIT, 0, &t), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Futex(&a_, FUTEX_WAIT_BITSET, 0, nullptr, nullptr, 0), SyscallFailsWithErrno(EINVAL));
}

TEST_F(FutexTest, Bitsets) {
  std::thread t = Waiter(&a_, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 2);
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 1),
              SyscallSucceedsWithValue(0));
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 6),
              SyscallSucceedsWithValue(1));
  t.join();
}

TEST_F(FutexTest, Requeue) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) threads.push_back(Waiter(&a_));
  auto count = reinterpret_cast<timespec*>(1);
  EXPECT_THAT(Raw(SYS_futex, &a_, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, count, &b_, 5),
              SyscallFailsWithErrno(EAGAIN));
  EXPECT_THAT(Raw(SYS_futex, &a_, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, count, &b_, 0),
              SyscallSucceedsWithValue(2));
  EXPECT_THAT(Futex(&b_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9), SyscallSucceedsWithValue(1));
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9), SyscallSucceedsWithValue(1));
  for (auto& t : threads) t.join();
}

TEST_F(FutexTest, WakeOp) {
  std::thread t = Waiter(&a_), u = Waiter(&b_);
  int op = FUTEX_OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 0);
  EXPECT_THAT(Raw(SYS_futex, &a_, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1, &b_, op),
              SyscallSucceedsWithValue(2));
  EXPECT_EQ(b_, 7);
  t.join();
  u.join();
}

TEST_F(FutexTest, SharedBetweenProcesses) {
  auto* word = static_cast<std::atomic<int>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pid_t child = StartChild([&] { return Futex(word, FUTEX_WAIT, 0) == 0 ? 0 : 1; });
  WaitUntilSleeping(child);
  EXPECT_THAT(Futex(word, FUTEX_WAKE, 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(WaitFor(child), 0);
  munmap(word, 4096);
}

TEST_F(FutexTest, PrivateFutexIsNotShared) {
  pid_t child = StartChild([&] {
    timespec t = Millis(100);
    return Futex(&a_, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &t) == -1 ? 0 : 1;
  });
  WaitUntilSleeping(child);
  EXPECT_THAT(Futex(&a_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), SyscallSucceedsWithValue(0));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(FutexTest, SignalInterrupts) {
  pid_t child = StartChild([&] {
    ScopedSigaction handler(SIGUSR1, [](int) {});
    CHECK_OR_DIE(Futex(&a_, FUTEX_WAIT, 0) == -1 && errno == EINTR);
    return 0;
  });
  WaitUntilSleeping(child);
  kill(child, SIGUSR1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(FutexTest, ClearChildTidWakes) {
  // pthread_join() is a futex wait on the word that the kernel clears at exit.
  std::atomic<bool> run{false};
  std::thread t([&] {
    while (!run) SleepMs(1);
  });
  run = true;
  t.join();
  EXPECT_EQ(Raw(SYS_set_tid_address, &a_), Raw(SYS_gettid));
}

TEST_F(FutexTest, RobustMutexOfDeadThread) {
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t mutex;
  pthread_mutex_init(&mutex, &attr);
  std::thread([&] { pthread_mutex_lock(&mutex); }).join();
  EXPECT_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
  EXPECT_EQ(pthread_mutex_consistent(&mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
}

TEST_F(FutexTest, RobustMutexOfKilledProcess) {
  struct Shared {
    pthread_mutex_t mutex;
    std::atomic<bool> locked;
  };
  auto* shared = static_cast<Shared*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->mutex, &attr);
  pid_t child = StartChild([&] {
    pthread_mutex_lock(&shared->mutex);
    shared->locked = true;
    for (;;) pause();
    return 0;
  });
  while (!shared->locked) SleepMs(1);
  kill(child, SIGKILL);
  EXPECT_EQ(pthread_mutex_lock(&shared->mutex), EOWNERDEAD);
  WaitFor(child);
  munmap(shared, 4096);
}

TEST_F(FutexTest, RobustListCalls) {
  void* head = nullptr;
  size_t length = 0;
  EXPECT_THAT(Raw(SYS_get_robust_list, 0, &head, &length), SyscallSucceeds());
  EXPECT_EQ(length, sizeof(robust_list_head));
  EXPECT_THAT(Raw(SYS_set_robust_list, head, 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_get_robust_list, 0x3fffffff, &head, &length), SyscallFailsWithErrno(ESRCH));
}

TEST_F(FutexTest, ContendedMutexKeepsCount) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20000; j++) {
        pthread_mutex_lock(&mutex);
        count++;
        pthread_mutex_unlock(&mutex);
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(count, 80000);
}

TEST_F(FutexTest, ConditionVariablePingPong) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  int turn = 0;
  auto play = [&](int me) {
    for (int i = 0; i < 500; i++) {
      pthread_mutex_lock(&mutex);
      while (turn != me) pthread_cond_wait(&cond, &mutex);
      turn = 1 - me;
      pthread_cond_broadcast(&cond);
      pthread_mutex_unlock(&mutex);
    }
  };
  std::thread other(play, 1);
  play(0);
  other.join();
}

}  // namespace
