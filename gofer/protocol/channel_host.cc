#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "gofer/protocol/channel.h"

namespace runsc::gofer {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

void Wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, 1 << 30, nullptr, nullptr, 0);
}

void Sleep(std::atomic<uint32_t>& word, uint32_t value, const timespec* timeout) {
  syscall(SYS_futex, &word, FUTEX_WAIT, value, timeout, nullptr, 0);
}

int64_t NowMs() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1000000;
}

}  // namespace

std::optional<uint32_t> AwaitRequest(ChannelMemory& m, uint32_t seen,
                                     const std::atomic<bool>& canceled) {
  for (;;) {
    if (canceled.load()) return std::nullopt;
    uint32_t now = m.request.sequence.load(std::memory_order_acquire);
    if (now != seen) return now;
    // Sequentially consistent with PostRequest: either we see its sequence or it sees us waiting.
    m.reply.waiting.store(1);
    if (m.request.sequence.load() == seen && !canceled.load()) {
      Sleep(m.request.sequence, seen, nullptr);
    }
    m.reply.waiting.store(0);
  }
}

void PostReply(ChannelMemory& m, uint32_t sequence, uint32_t size) {
  m.reply.size.store(size, std::memory_order_relaxed);
  m.reply.sequence.store(sequence);
  if (m.request.waiting.load() != 0) Wake(m.reply.sequence);
}

void PostRequest(ChannelMemory& m, uint32_t sequence, uint32_t size) {
  m.request.size.store(size, std::memory_order_relaxed);
  m.request.sequence.store(sequence);
  if (m.reply.waiting.load() != 0) Wake(m.request.sequence);
}

WaitResult AwaitReply(ChannelMemory& m, uint32_t sequence, int64_t timeout_ms,
                      const std::atomic<bool>& canceled) {
  if (m.reply.sequence.load(std::memory_order_acquire) == sequence) return WaitResult::kReplied;
  // The gofer's thread was woken on this CPU: letting it run now is the whole hand-off.
  sched_yield();
  int64_t deadline = 0;
  for (;;) {
    uint32_t now = m.reply.sequence.load(std::memory_order_acquire);
    if (now == sequence) return WaitResult::kReplied;
    if (canceled.load()) return WaitResult::kCanceled;
    int64_t left = timeout_ms;
    if (deadline == 0) {
      deadline = NowMs() + timeout_ms;
    } else {
      left = deadline - NowMs();
      if (left <= 0) return WaitResult::kTimeout;
    }
    timespec wait{left / 1000, (left % 1000) * 1000000};
    m.request.waiting.store(1);
    if (m.reply.sequence.load() == now && !canceled.load()) Sleep(m.reply.sequence, now, &wait);
    m.request.waiting.store(0);
  }
}

void WakeSentry(ChannelMemory& m) { Wake(m.reply.sequence); }
void WakeGofer(ChannelMemory& m) { Wake(m.request.sequence); }

uint32_t CurrentCpu() {
  int cpu = sched_getcpu();
  return cpu < 0 ? 0 : static_cast<uint32_t>(cpu);
}

Fd CreateMemory(uint32_t channels) {
  Fd fd(memfd_create("gofer-channels", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.ok() || ftruncate(fd.get(), static_cast<off_t>(MemorySize(channels))) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return Fd();
  }
  return fd;
}

ChannelMemory* MapMemory(int fd, uint32_t channels) {
  size_t size = MemorySize(channels);
  struct stat st{};
  struct statfs fs{};
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
      st.st_size != static_cast<off_t>(size) || fstatfs(fd, &fs) != 0 ||
      fs.f_type != TMPFS_MAGIC) {
    return nullptr;
  }
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return p == MAP_FAILED ? nullptr : static_cast<ChannelMemory*>(p);
}

void UnmapMemory(ChannelMemory* memory, uint32_t channels) {
  if (memory != nullptr) munmap(memory, MemorySize(channels));
}

bool SendMessage(int socket, std::string_view bytes, const int* fds, size_t fd_count) {
  if (fd_count > kMaxChannels + 1) return false;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (kMaxChannels + 1))] = {};
  iovec iov{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  if (fd_count > 0) {
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    std::memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
  }
  ssize_t n = 0;
  do {
    n = sendmsg(socket, &msg, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(bytes.size());
}

namespace {

// Takes over every descriptor in `msg`; those beyond the room are closed.
void TakeFds(msghdr& msg, Received* out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      Fd owned(fd);
      if (out->fd_count < std::size(out->fds)) out->fds[out->fd_count++] = std::move(owned);
    }
  }
}

}  // namespace

bool ReceiveMessage(int socket, void* bytes, size_t capacity, Received* out, int timeout_ms) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (kMaxChannels + 1))];
  iovec iov{bytes, capacity};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  msg.msg_control = control;
  msg.msg_controllen = sizeof(control);
  if (timeout_ms != 0) {
    pollfd p{socket, POLLIN, 0};
    int ready = 0;
    do {
      ready = poll(&p, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) return false;
  }
  ssize_t n = 0;
  do {
    n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return false;
  TakeFds(msg, out);
  out->size = static_cast<size_t>(n);
  out->lost_fds = (msg.msg_flags & MSG_CTRUNC) != 0;
  return (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

}  // namespace runsc::gofer
