#ifndef RUNSC_CONTROL_SERVER_H_
#define RUNSC_CONTROL_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/control/connection.h"

namespace runsc::control {

// Names a connection for the server's life; never reused.
using PeerId = uint64_t;

// What the server tells its owner. All calls come from the thread that runs the server.
class Handler {
 public:
  virtual ~Handler() = default;
  // A whole request. It is answered by Server::Reply, now or later.
  virtual void OnRequest(PeerId peer, Frame frame) = 0;
  // The peer closed its end, or broke the protocol.
  virtual void OnHangup(PeerId peer) = 0;
  // A signal for the whole process arrived (see Server::Create).
  virtual void OnHostSignal(int signal) = 0;
  // Somebody called Server::Wake.
  virtual void OnWake() = 0;
};

// The sandbox's end: one thread that sleeps in poll(2) until a request, a signal or a wake-up
// comes. Connections are bounded in number and in what they may buffer.
class Server {
 public:
  // Blocks the signals that OnHostSignal reports in the calling thread, and so in every thread it
  // starts later: call before any is.
  static HostOr<std::unique_ptr<Server>> Create(Handler* handler);

  PeerId AddConnection(Fd socket);
  // Accepts connections there from now on; the socket file's mode says who may connect.
  void SetListener(Fd listener) { listener_ = std::move(listener); }
  // Sends a reply; a peer that is gone or does not read is dropped.
  void Reply(PeerId peer, uint32_t sequence, std::string_view payload);
  // Makes OnWake be called soon. Any thread.
  void Wake();
  // Makes Run return. From a handler only.
  void Stop() { stopping_ = true; }
  void Run();

 private:
  explicit Server(Handler* handler) : handler_(handler) {}
  void PollOnce();
  void AcceptAll();
  void Serve(PeerId peer);
  void Drop(PeerId peer);
  void ReadSignals();

  Handler* const handler_;
  Fd wake_, signals_, listener_;
  std::map<PeerId, Connection> peers_;
  PeerId next_peer_ = 1;
  bool stopping_ = false;
};

}  // namespace runsc::control

#endif  // RUNSC_CONTROL_SERVER_H_
