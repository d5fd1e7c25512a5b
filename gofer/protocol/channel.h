#ifndef GOFER_PROTOCOL_CHANNEL_H_
#define GOFER_PROTOCOL_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gofer/protocol/messages.h"
#include "platform/base/fd.h"

namespace runsc::gofer {

// One request slot in the shared memory. Each side writes only its own half, and copies the
// other's bytes out before looking at them: they may change at any time.
struct ChannelMemory {
  // Written by the sentry.
  struct alignas(64) Request {
    std::atomic<uint32_t> sequence;  // the gofer sleeps on it
    std::atomic<uint32_t> size;
    std::atomic<uint32_t> waiting;  // the sentry sleeps on reply.sequence
  } request;
  // Written by the gofer.
  struct alignas(64) Reply {
    std::atomic<uint32_t> sequence;
    std::atomic<uint32_t> size;
    std::atomic<uint32_t> waiting;  // the gofer sleeps on request.sequence
  } reply;
  alignas(4096) char request_bytes[kMaxRequest];
  char reply_bytes[kMaxReply];
};

inline constexpr size_t MemorySize(uint32_t channels) { return channels * sizeof(ChannelMemory); }

// --- gofer side ---

// Sleeps until the request sequence differs from `seen`; returns it, or nothing once `canceled`
// is set (looked at when woken, see WakeGofer).
std::optional<uint32_t> AwaitRequest(ChannelMemory& m, uint32_t seen,
                                     const std::atomic<bool>& canceled);
void WakeGofer(ChannelMemory& m);
// Publishes `size` bytes of reply_bytes as the answer to `sequence` and wakes the sentry.
void PostReply(ChannelMemory& m, uint32_t sequence, uint32_t size);

// --- sentry side ---

// Publishes `size` bytes of request_bytes and wakes the gofer.
void PostRequest(ChannelMemory& m, uint32_t sequence, uint32_t size);
enum class WaitResult { kReplied, kTimeout, kCanceled };
// Waits for the answer to `sequence`: gives the CPU away once, then sleeps. `canceled` is looked
// at when woken (see WakeSentry).
WaitResult AwaitReply(ChannelMemory& m, uint32_t sequence, int64_t timeout_ms,
                      const std::atomic<bool>& canceled);
// Wakes the waiter so that it sees `canceled`.
void WakeSentry(ChannelMemory& m);
// The CPU the calling thread is on.
uint32_t CurrentCpu();

// --- shared memory and sockets ---

// A sealed memfd for `channels` channels.
Fd CreateMemory(uint32_t channels);
// Maps a peer's memory; nullptr unless it is memory of the right size that cannot shrink.
ChannelMemory* MapMemory(int fd, uint32_t channels);
void UnmapMemory(ChannelMemory* memory, uint32_t channels);

struct Received {
  size_t size = 0;
  bool lost_fds = false;  // descriptors came that this process had no room for (RLIMIT_NOFILE)
  size_t fd_count = 0;
  Fd fds[kMaxChannels + 1];
};
// Sends one datagram with descriptors. False: the peer is gone.
bool SendMessage(int socket, std::string_view bytes, const int* fds, size_t fd_count);
// Receives one datagram; waits at most `timeout_ms` (0: not at all, -1: without end). False: error,
// peer gone, truncated, or nothing came.
bool ReceiveMessage(int socket, void* bytes, size_t capacity, Received* out, int timeout_ms);

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_CHANNEL_H_
