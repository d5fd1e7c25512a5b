#ifndef RUNSC_CONTROL_CLIENT_H_
#define RUNSC_CONTROL_CLIENT_H_

#include <cstdint>
#include <span>
#include <string>

#include "platform/base/errno.h"
#include "runsc/control/connection.h"

namespace runsc::control {

// runsc's end: sends requests to a sandbox and waits for their replies.
class Client {
 public:
  Client() = default;
  explicit Client(Connection connection) : connection_(std::move(connection)) {}
  explicit Client(Fd socket) : connection_(std::move(socket)) {}

  bool ok() const { return connection_.ok(); }
  int fd() const { return connection_.fd(); }
  void Close() { connection_.Close(); }

  HostStatus Start(const ContainerRef& r) { return Call(Type::kStart, Encode(r)).status(); }
  HostStatus Create(const ContainerConfig& c, std::span<const int> fds);
  HostStatus Adopt(int listener, int exit_file);
  HostOr<BootReply> Boot(const BootRequest& r) { return CallFor<BootReply>(Type::kBoot, Encode(r)); }
  HostStatus Signal(const SignalRequest& r) { return Call(Type::kSignal, Encode(r)).status(); }
  HostOr<ExecReply> Exec(const ExecRequest& r, std::span<const int> fds) {
    return CallFor<ExecReply>(Type::kExec, Encode(r), fds);
  }
  HostOr<WaitReply> Wait(const WaitRequest& r) { return CallFor<WaitReply>(Type::kWait, Encode(r)); }
  HostOr<ProcessesReply> Processes(const ContainerRef& r) {
    return CallFor<ProcessesReply>(Type::kProcesses, Encode(r));
  }
  HostOr<StateReply> State() { return CallFor<StateReply>(Type::kState, ""); }
  HostStatus Stop() { return Call(Type::kStop, "").status(); }

  // A request whose reply is fetched later by TryFinish (kWait while signals are passed on).
  HostOr<uint32_t> Send(Type type, std::string_view payload, std::span<const int> fds = {});
  // Reads once; the reply's payload if it is the one to `sequence`; replies to others are dropped.
  HostOr<std::optional<std::string>> TryFinish(uint32_t sequence);

 private:
  struct Answer {
    HostOr<std::string> bytes;
    HostStatus status() const { return bytes.ok() ? HostOk() : HostStatus(bytes.error()); }
  };
  Answer Call(Type type, std::string_view payload, std::span<const int> fds = {});
  template <typename T>
  HostOr<T> CallFor(Type type, std::string_view payload, std::span<const int> fds = {}) {
    std::string bytes = TRY(Call(type, payload, fds).bytes);
    T out;
    if (!Decode(bytes, &out)) return TextError("the sandbox sent a malformed reply");
    return out;
  }

  Connection connection_;
  uint32_t sequence_ = 0;
};

}  // namespace runsc::control

#endif  // RUNSC_CONTROL_CLIENT_H_
