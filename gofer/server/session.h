#ifndef GOFER_SERVER_SESSION_H_
#define GOFER_SERVER_SESSION_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "gofer/protocol/channel.h"
#include "gofer/server/node_table.h"
#include "gofer/server/ops.h"
#include "platform/base/fd.h"

namespace runsc::gofer {

// One client: its socket, its channels with a thread behind each, and its nodes.
class Session {
 public:
  // Takes over `socket`. `served` outlives the session. nullptr if the host refuses memory or
  // sockets. Threads are made here, before the seccomp filter forbids making any.
  static std::unique_ptr<Session> Create(Fd socket, const Served& served, uint32_t max_nodes,
                                         int channels_per_cpu);
  ~Session();

  int socket() const { return socket_.get(); }
  // Reads what came on the socket: the client's Hello, once. False: hang-up or nonsense, the
  // session is over.
  bool OnReadable();

 private:
  struct Channel {
    Session* session = nullptr;
    ChannelMemory* memory = nullptr;
    Fd socket;  // donated descriptors go out here
    Fd peer;    // the client's end until the handshake
    uint32_t cpu = 0;
    pthread_t thread{};
    bool running = false;
  };

  Session(Fd socket, const Served& served, uint32_t max_nodes)
      : socket_(std::move(socket)), served_(served), nodes_(max_nodes) {}
  bool SetUp(int channels_per_cpu);
  static void* ThreadMain(void* channel);
  void Serve(Channel& channel);
  uint32_t ServeOne(Channel& channel, const char* request, size_t size, uint32_t sequence);
  bool SayHello();

  Fd socket_;
  const Served& served_;
  NodeTable nodes_;
  Fd memory_fd_;
  ChannelMemory* memory_ = nullptr;
  uint32_t channel_count_ = 0;
  std::unique_ptr<Channel[]> channels_;
  bool greeted_ = false;
  std::atomic<bool> stop_{false};
};

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_SESSION_H_
