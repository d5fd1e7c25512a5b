#ifndef RUNSC_CONTROL_CONNECTION_H_
#define RUNSC_CONTROL_CONNECTION_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/control/messages.h"

namespace runsc::control {

struct Frame {
  Type type = Type::kReply;
  uint32_t sequence = 0;
  std::string payload;
  std::vector<Fd> fds;
};

// One end of a control connection: a stream socket cut into frames. One thread uses it.
class Connection {
 public:
  Connection() = default;
  explicit Connection(Fd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }
  bool ok() const { return socket_.ok(); }
  void Close() { socket_.Reset(); }
  HostStatus Send(Type type, uint32_t sequence, std::string_view payload,
                  std::span<const int> fds = {});
  // Reads once. A whole frame, or nullopt if more bytes must come (or, on a non-blocking socket,
  // there are none). An error: end of stream, or the peer breaks the protocol; hang up then.
  HostOr<std::optional<Frame>> Receive();
  // Frames already read; as Receive, without reading.
  HostOr<std::optional<Frame>> Next();

 private:
  Fd socket_;
  std::string input_;
  std::vector<Fd> fds_;
};

}  // namespace runsc::control

#endif  // RUNSC_CONTROL_CONNECTION_H_
